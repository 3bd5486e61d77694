"""Which wrong labels an audit finds, and which sound ones it doubts.

Takes the labels of a search that ended, makes one of them wrong, and audits, for each label in turn: with the ensemble
of ML-POD of its protocol, fitted to all of them anew, and with fits that leave out the label which they judge.

    python -m benchmarks.audit_detection run PK
    python -m benchmarks.audit_detection table
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from aiida import load_profile, orm
from ase.stress import voigt_6_to_full_3x3_stress

from aiida_prospect.calculations.functions.joined_labels import joined
from aiida_prospect.calculations.runners.train_pod import origins
from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.common.units import stress_from_virial
from aiida_prospect.methods.audit import AuditSettings, Verdict, audit
from aiida_prospect.methods.cleaning import clean
from aiida_prospect.methods.ensemble_judgement import member_seed
from aiida_prospect.methods.left_out import predict_left_out
from aiida_prospect.methods.pod_equations import FrameEquations, equations
from aiida_prospect.methods.pod_fit import fit
from aiida_prospect.methods.pod_settings import PodSettings
from aiida_prospect.workflows.audit_inputs import audit_builder
from aiida_prospect.workflows.protocols import load_protocol
from benchmarks.conditions import ROOT, conditions
from benchmarks.markdown import table

WAYS = ('ensemble', 'left out')
OF_THE_JOB = ('options', 'escalation')
RESULTS = ROOT / 'benchmarks' / 'results' / 'audit_detection.json'
PAGE = ROOT / 'docs' / 'benchmarks_audit.md'
WORDS = """\
# What an audit finds

Made by `python -m benchmarks.audit_detection table` from `benchmarks/results/audit_detection.json`, which
`python -m benchmarks.audit_detection run PK` stores. The {labels} labels of a search for Si8 with SNAP as the
reference, protocol `fast`, {models} members of ML-POD; each label in turn is made wrong, and the audit is
asked. Two ways to judge a label: by the ensemble that was fitted to all of them, and by fits that have left it
out, as `aiida-prospect audit` does. Others doubted: sound labels, per audit. When all labels are sound, the
ensemble doubts {ensemble} of them, fits without the label {left_out}; those are left out of the table.
"""


def energy(error: float) -> Callable[[Frames, int], Frames]:
    """Return what adds an error to an energy, eV/atom."""

    def change(frames: Frames, index: int) -> Frames:
        values = frames.known('energy').copy()
        values[index] += error * frames.n_atoms[index]
        return frames.replace(energy=values)

    return change


def force(error: float) -> Callable[[Frames, int], Frames]:
    """Return what adds an error to a component of the force on one atom, eV/Å."""

    def change(frames: Frames, index: int) -> Frames:
        values = frames.known('forces').copy()
        values[frames.offsets[index], 0] += error
        return frames.replace(forces=values)

    return change


WRONG = {
    'energy +0.1 eV/atom': energy(0.1),
    'energy +0.3 eV/atom': energy(0.3),
    'energy +1 eV/atom': energy(1.0),
    'energy -1 eV/atom': energy(-1.0),
    'one force +10 eV/Å': force(10.0),
}


class Model:
    """Fits ensembles of ML-POD to labels of the same structures again and again; LAMMPS is asked but once."""

    def __init__(self, frames: Frames, n_models: int) -> None:
        values = load_protocol('train_pod', 'fast')
        self.settings = PodSettings.from_parameters({k: v for k, v in values.items() if k not in OF_THE_JOB})
        self.cleaning = load_protocol('train_ensemble', 'fast')['cleaning']
        self.frames, self.n_models, self.type_map = frames, n_models, list(frames.elements)
        descriptor = self.settings.descriptor_text(self.type_map)
        self.rows = equations(frames, descriptor, self.type_map, self.settings.repulsion)

    def suspects(self, frames: Frames, how: str) -> list[int]:
        """Fit and return which labels an audit doubts.

        :param how: one of :data:`WAYS`.
        """
        left_out = clean(frames, self.cleaning)
        rows = [self._relabelled(frames, index) for index in range(len(frames))]
        predict = {'ensemble': self._by_ensemble, 'left out': self._by_others}[how]
        findings = audit(frames, predict(frames, rows, left_out), left_out, AuditSettings())
        return [index for index, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECT]

    def _by_others(self, frames: Frames, rows: list[FrameEquations], left_out: list[str]) -> Frames:
        size = len(self.type_map)
        return predict_left_out(frames, rows, origins(frames), left_out, self.settings.fit, size, AuditSettings())

    def _by_ensemble(self, frames: Frames, rows: list[FrameEquations], left_out: list[str]) -> Frames:
        kept = [index for index, reason in enumerate(left_out) if not reason]
        names, members = origins(frames.select(kept)), []
        for number in range(self.n_models):
            rng = np.random.default_rng(member_seed(1, number, 0))
            found = fit([rows[index] for index in kept], names, self.settings.fit, rng, n_elements=len(self.type_map))
            members.append(self._predict(frames, rows, found.coefficients))
        return _mean(members)

    def _relabelled(self, frames: Frames, index: int) -> FrameEquations:
        atoms = slice(frames.offsets[index], frames.offsets[index + 1])
        more_energy = frames.known('energy')[index] - self.frames.known('energy')[index]
        more_force = frames.known('forces')[atoms] - self.frames.known('forces')[atoms]
        row = self.rows[index]
        return replace(
            row,
            known_energy=row.known_energy + more_energy / frames.n_atoms[index],
            known_forces=row.known_forces + more_force.ravel(),
        )

    def _predict(self, frames: Frames, rows: list[FrameEquations], coefficients: FloatArray) -> Frames:
        energy, forces, stress = [], [], []
        for index, row in enumerate(rows):
            n_atoms, atoms = frames.n_atoms[index], slice(frames.offsets[index], frames.offsets[index + 1])
            energy.append(frames.known('energy')[index] - n_atoms * (row.known_energy - row.energy @ coefficients))
            off = (row.known_forces - row.forces @ coefficients).reshape(-1, 3)
            forces.append(frames.known('forces')[atoms] - off)
            virial = voigt_6_to_full_3x3_stress(row.known_virial - row.virial @ coefficients) * n_atoms
            stress.append(frames.known('stress')[index] - stress_from_virial(virial, frames.volumes[index]))
        return frames.replace(energy=energy, forces=np.concatenate(forces), stress=stress)


def _mean(members: list[Frames]) -> Frames:
    energy, forces = (np.array([member.known(name) for member in members]) for name in ('energy', 'forces'))
    return members[0].replace(
        energy=energy.mean(axis=0),
        forces=forces.mean(axis=0),
        stress=np.mean([member.known('stress') for member in members], axis=0),
        energy_spread=energy.std(axis=0),
        forces_spread=np.sqrt(np.sum(forces.var(axis=0), axis=1)),
    )


def main() -> None:
    """Measure and store, or write the page."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.audit_detection',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    run = commands.add_parser('run')
    run.add_argument('pk', type=int, help='of a search that ended')
    run.add_argument('--models', type=int, default=2)
    commands.add_parser('table', help='write the page of the documentation')
    arguments = parser.parse_args()
    if arguments.command == 'run':
        measure(arguments.pk, arguments.models)
    else:
        PAGE.write_text('\n'.join(page(json.loads(RESULTS.read_text()))))


def measure(pk: int, models: int) -> None:
    """Audit all variants of the labels of a search, and store what was found."""
    load_profile()
    frames = joined(audit_builder(orm.load_node(pk)).labels)
    frames = frames.select(frames.known('status') == 'ok')
    model = Model(frames, models)
    found = {how: detect(model, how) for how in WAYS}
    result = {'labels': len(frames), 'models': models, **found, 'conditions': conditions()}
    RESULTS.write_text(json.dumps(result, indent=1) + '\n')


def page(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    doubted = {how.replace(' ', '_'): result[how]['doubted when all are sound'] for how in WAYS}
    yield WORDS.format(labels=result['labels'], models=result['models'], **doubted)
    columns = ('error of one label', *(f'{how}: {what}' for how in WAYS for what in ('found', 'others doubted')))
    yield from table(columns, [_row(kind, [result[how]['wrong'][kind] for how in WAYS]) for kind in WRONG])


def _row(kind: str, found: list[Mapping[str, Any]]) -> list[str]:
    cells = [kind]
    for item in found:
        cells += [f'{item["found"]} of {item["tried"]}', f'{item["others doubted"] / item["tried"]:.1f}']
    return cells


def detect(model: Model, how: str) -> dict[str, Any]:
    """Make each label wrong in turn, in each way, and count what is found."""
    frames, counts = model.frames, {}
    sound = model.suspects(frames, how)
    for kind, change in WRONG.items():
        row = counts[kind] = {'tried': 0, 'found': 0, 'others doubted': 0}
        for index in sorted(set(range(len(frames))) - set(sound)):
            doubted = model.suspects(change(frames, index), how)
            row['tried'] += 1
            row['found'] += index in doubted
            row['others doubted'] += len(set(doubted) - {index} - set(sound))
    return {'doubted when all are sound': len(sound), 'wrong': counts}


if __name__ == '__main__':
    main()
