"""Which wrong labels an audit finds, and which sound ones it doubts.

Takes the labels of a search that ended, makes one of them wrong, fits the ensemble of ML-POD of its protocol to all of
them anew, and audits; for each label in turn.

    python benchmarks/audit_detection.py PK
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from aiida import load_profile, orm

from aiida_prospect.calculations.functions.joined_labels import joined
from aiida_prospect.calculations.runners.train_pod import origins
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.audit import AuditSettings, Verdict, audit
from aiida_prospect.methods.cleaning import clean
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.pod import PodEvaluator
from aiida_prospect.methods.pod_equations import equations
from aiida_prospect.methods.pod_fit import fit
from aiida_prospect.methods.pod_model import PodModel
from aiida_prospect.methods.pod_settings import PodSettings
from aiida_prospect.workflows.audit_inputs import audit_builder
from aiida_prospect.workflows.protocols import load_protocol
from aiida_prospect.workflows.train.ensemble import member_seed

RESULTS = Path(__file__).parent / 'results' / 'audit_detection.json'


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


def suspects(frames: Frames, n_models: int, folder: Path) -> list[int]:
    """Fit an ensemble as a search does and return which labels an audit doubts."""
    values = load_protocol('train_pod', 'fast')
    settings = PodSettings.from_parameters({k: v for k, v in values.items() if k not in ('options', 'escalation')})
    type_map = list(frames.elements)
    descriptor = settings.descriptor_text(type_map)
    left_out = clean(frames, load_protocol('train_ensemble', 'fast')['cleaning'])
    kept = frames.select([index for index, reason in enumerate(left_out) if not reason])
    rows, members = equations(kept, descriptor, type_map, settings.repulsion), []
    for number in range(n_models):
        rng = np.random.default_rng(member_seed(1, number, 0))
        found = fit(rows, origins(kept), settings.fit, rng, n_elements=len(type_map))
        path = folder / f'{number}.zip'
        PodModel(tuple(type_map), descriptor, found.coefficients, settings.repulsion).save(path)
        members.append(PodEvaluator(path, type_map=type_map))
    findings = audit(frames, Ensemble(members).evaluate(frames), left_out, AuditSettings())
    return [index for index, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECT]


def main() -> None:
    """Measure, and store the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pk', type=int)
    parser.add_argument('--models', type=int, default=2)
    parser.add_argument('--every', type=int, default=2, help='Make each so-manieth label wrong.')
    arguments = parser.parse_args()
    load_profile()
    frames = joined(audit_builder(orm.load_node(arguments.pk)).labels)
    frames = frames.select(frames.known('status') == 'ok')
    table: dict[str, dict[str, int]] = {}
    with TemporaryDirectory() as name:
        sound = len(suspects(frames, arguments.models, Path(name)))
        for kind, change in WRONG.items():
            row = table[kind] = {'tried': 0, 'found': 0, 'others doubted': 0}
            for index in range(0, len(frames), arguments.every):
                doubted = suspects(change(frames, index), arguments.models, Path(name))
                row['tried'] += 1
                row['found'] += index in doubted
                row['others doubted'] += len(set(doubted) - {index})
            print(kind, row, flush=True)
    result = {'labels': len(frames), 'models': arguments.models, 'doubted when all are sound': sound, 'wrong': table}
    RESULTS.write_text(json.dumps(result, indent=1) + '\n')
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
