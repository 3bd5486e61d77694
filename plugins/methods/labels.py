"""From the runs of a reference method to labels: the same frames in the same order, each with a status and a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from ase.formula import Formula
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus, RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.prechecks import Prechecks, find_hopeless

FloatArray = NDArray[np.float64]

NO_RESULT = 'the reference method gave no result'


@dataclass(frozen=True)
class Run:
    """What the reference method found for one frame of n atoms.

    :param energy: eV; with smearing the free energy, whose derivatives the forces are.
    :param forces: (n, 3), eV/Å.
    :param stress: (3, 3), eV/Å³, positive under tension.
    :param positions: (n, 3), Å; ``None`` if the atoms did not move.
    :param cell: (3, 3), Å; ``None`` if it did not change.
    :param steps: energies computed.
    :param memory_mb: of all processes together or of one, as the program tells; ``None`` if it does not.
    """

    status: LabelStatus
    reason: str = ''
    energy: float = np.nan
    forces: FloatArray | None = None
    stress: FloatArray | None = None
    positions: FloatArray | None = None
    cell: FloatArray | None = None
    steps: int = 0
    core_seconds: float = 0.0
    memory_mb: float | None = None


def screen(candidates: Frames, prechecks: Prechecks) -> Frames:
    """Return the candidates with the status of those that are rejected.

    Of what was predicted they keep the energy (``energy_initial``) and the spreads, to be compared with the labels.
    """
    rejected = find_hopeless(candidates, prechecks)
    size = range(len(candidates))
    predicted = ('energy_initial', 'energy_spread', 'forces_spread')
    keep = ('numbers', 'offsets', 'positions', 'cells', 'origin', 'source', *predicted)
    return Frames(**{name: value for name, value in candidates.arrays().items() if name in keep}).replace(
        status=[str(LabelStatus.REJECTED) if index in rejected else '' for index in size],
        reason=[rejected.get(index, '') for index in size],
    )


def accepted(screened: Frames) -> Frames:
    """Return the frames that were not rejected; ``source`` is their index among all."""
    indices = np.flatnonzero(screened.known('status') == '')
    return screened.select(indices).replace(source=indices).without('status', 'reason')


def label(screened: Frames, runs: Mapping[int, Run], *, otherwise: str = NO_RESULT) -> Frames:
    """Return the labels.

    A frame whose run is not ``ok`` has no numbers, whatever the run left behind; one that has numbers missing or not
    finite is not ``ok``.

    :param screened: what :func:`screen` returned.
    :param runs: by index of the frame.
    :param otherwise: the reason of a frame that has no run.
    """
    size, n_atoms = len(screened), len(screened.numbers)
    status, reason = screened.known('status').tolist(), screened.known('reason').tolist()
    energy, forces, stress = np.full(size, np.nan), np.full((n_atoms, 3), np.nan), np.full((size, 3, 3), np.nan)
    positions, cells, steps = screened.positions.copy(), screened.cells.copy(), np.zeros(size, dtype=np.int64)
    for index in np.flatnonzero(np.array(status, dtype=object) == '').tolist():
        run = _complete(runs.get(index, Run(LabelStatus.FAILED, otherwise)))
        status[index], reason[index], steps[index] = str(run.status), run.reason, run.steps
        if run.status is not LabelStatus.OK:
            continue
        owned = slice(screened.offsets[index], screened.offsets[index + 1])
        energy[index], forces[owned] = run.energy, run.forces
        if run.stress is not None:
            stress[index] = run.stress
        if run.positions is not None:
            positions[owned] = run.positions
        if run.cell is not None:
            cells[index] = run.cell
    return screened.replace(
        positions=positions,
        cells=cells,
        energy=energy,
        forces=forces,
        stress=stress,
        status=status,
        reason=reason,
        steps=steps,
    )


def _complete(run: Run) -> Run:
    if run.status is not LabelStatus.OK:
        return run
    if run.forces is None or not (np.isfinite(run.energy) and np.all(np.isfinite(run.forces))):
        return Run(LabelStatus.FAILED, 'the energy or the forces are missing or not finite', steps=run.steps)
    return run


def runs_of_parts(parts: Sequence[Frames]) -> dict[int, Run]:
    """Return the runs by index among all candidates.

    Of a relaxation that did not end in a minimum the label is still that of its last frame; the reason says so.

    :param parts: evaluated or relaxed frames whose ``source`` is that index; a later part replaces an earlier one.
    """
    runs: dict[int, Run] = {}
    for part in parts:
        statuses = part.known('status').tolist()
        reasons = part.known('reason').tolist() if part.reason is not None else [''] * len(part)
        for row, index in enumerate(part.known('source').tolist()):
            owned = slice(part.offsets[row], part.offsets[row + 1])
            status, reason = _translate(statuses[row], reasons[row])
            runs[index] = Run(
                status=status,
                reason=reason,
                energy=float(part.known('energy')[row]),
                forces=part.known('forces')[owned],
                stress=None if part.stress is None else part.stress[row],
                positions=part.positions[owned],
                cell=part.cells[row],
                steps=1 if part.steps is None else int(part.steps[row]) + 1,
            )
    return runs


def _translate(status: str, reason: str) -> tuple[LabelStatus, str]:
    if status in {item.value for item in LabelStatus}:
        return LabelStatus(status), reason
    if status == RelaxStatus.CONVERGED.value:
        return LabelStatus.OK, ''
    if status in {item.value for item in RelaxStatus} - {RelaxStatus.UNPHYSICAL.value}:
        return LabelStatus.OK, f'the relaxation did not converge: {reason or status}'
    return LabelStatus.FAILED, reason or status or NO_RESULT


def count_by_status(labels: Frames) -> dict[str, int]:
    """Return how many frames have each status."""
    return {str(status): int(np.sum(labels.known('status') == str(status))) for status in LabelStatus}


def divide_evenly(number: int, size: int) -> list[tuple[int, int]]:
    """Return first and end of parts of a sequence, as few as may be, each about as long as the others.

    :param number: length of the sequence.
    :param size: of a part, at most.
    """
    n_parts = -(-number // size) if number else 0
    edges = [part * number // n_parts for part in range(n_parts + 1)] if n_parts else [0]
    return list(pairwise(edges))


def count_usable(labels: Frames) -> int:
    """Return how many frames have a label."""
    return int(np.sum(labels.known('status') == LabelStatus.OK.value))


def count_labels(labels: Frames) -> int:
    """Return how many frames the reference method was asked for: all but those rejected beforehand."""
    return int(np.sum(labels.known('status') != LabelStatus.REJECTED.value))


def lowest_energy(labels: Frames, composition: Mapping[str, int] | None = None) -> float:
    """Return the lowest energy of a frame that has a label, eV/atom; infinity if there is none.

    :param composition: look only at frames of this composition, or a multiple or part of it.
    """
    chosen = labels.known('status') == LabelStatus.OK.value
    if composition is not None:
        unit = Formula.from_dict(dict(composition)).reduce()[0].format('hill')
        chosen = chosen & (np.array(labels.reduced_formulas) == unit)
    energies = labels.energy_per_atom[chosen]
    return float(np.min(energies)) if len(energies) else float('inf')


def share_cost(runs: Mapping[int, Run], core_seconds: float) -> dict[int, Run]:
    """Return the runs of one job with their parts of what it took, in proportion to the energies computed."""
    total = sum(run.steps for run in runs.values())
    share = core_seconds / total if total else 0.0
    return {index: replace(run, core_seconds=share * run.steps) for index, run in runs.items()}


def summarise(labels: Frames, runs: Mapping[int, Run], **costs: Any) -> dict[str, Any]:
    """Return the counts by status, the energies computed, and what the labels took, together and one by one.

    :param runs: by index of the frame; a frame without one took nothing.
    """
    ordered = [runs.get(index, Run(LabelStatus.FAILED)) for index in range(len(labels))]
    return {
        'frames': len(labels),
        'by_status': count_by_status(labels),
        'evaluations': int(np.sum(labels.known('steps'))),
        'core_seconds': sum(run.core_seconds for run in ordered),
        'by_frame': {
            'core_seconds': [round(run.core_seconds, 3) for run in ordered],
            'memory_mb': [run.memory_mb for run in ordered],
        },
        **costs,
    }
