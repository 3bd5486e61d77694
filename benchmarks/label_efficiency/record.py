"""From a search that has ended to what is stored of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.fingerprints import fingerprints
from benchmarks.label_efficiency.loop import Cycle, Outcome
from benchmarks.label_efficiency.truth import Truth

# Labels with forces below this are of minima, eV/Å; what lies so far above the target counts as low, eV/atom.
AT_REST = 0.2
LOW = 0.1
# Two minima are one if they are nearer than this in fingerprint and in energy (eV/atom).
SAME = 0.04, 0.01


def summarise(outcome: Outcome, truth: Truth) -> dict[str, Any]:
    """Return the numbers that tables and figures need; energies in eV/atom above the target.

    ``labels`` has the energies of all candidates, without a number where there is none; ``rejected`` says which of them
    the prechecks rejected, so that they were not computed; ``first_label`` has the number of a candidate, from one on.
    """
    labels, final = outcome.labels, outcome.final
    rejected = labels.known('status') == LabelStatus.REJECTED.value
    return {
        'target_energy': truth.energy,
        'window': truth.window,
        'labels': [_heights(cycle.labels, truth) for cycle in outcome.cycles],
        'rejected': np.flatnonzero(rejected).tolist(),
        'cycles': [_cycle(cycle, truth) for cycle in outcome.cycles],
        'stop': outcome.stop['reason'],
        'final': [_final(final[index], truth) for index in range(len(final))],
        'first_label': _first_label(labels, truth),
        'low_minima': count_low(labels, truth, (~rejected).astype(int)),
        'low_minima_final': (count_low(Frames.concatenate([labels, final]), truth) or [[0, 0]])[-1][1],
        'seconds': {stage: round(seconds, 1) for stage, seconds in sorted(outcome.seconds.items())},
        'wall_seconds': round(outcome.wall_seconds, 1),
    }


def _heights(frames: Frames, truth: Truth) -> list[float | None]:
    if not len(frames):
        return []
    return [round(float(e), 4) if np.isfinite(e) else None for e in frames.energy_per_atom - truth.energy]


def _cycle(cycle: Cycle, truth: Truth) -> dict[str, Any]:
    status, counts = np.unique(cycle.clustered.frames.known('status'), return_counts=True)
    return {
        'minima': [round(float(e) - truth.energy, 3) for e in cycle.clustered.clusters.energies[:3]],
        'n_minima': len(cycle.clustered.clusters),
        'pool': dict(zip(status.tolist(), counts.tolist(), strict=True)),
        'evaluations': cycle.evaluations,
        'rejected': cycle.training['rejected'],
    }


def _final(frame: Frames, truth: Truth) -> dict[str, Any]:
    ok = str(frame.known('status')[0]) == LabelStatus.OK.value
    height = float(frame.energy_per_atom[0] - truth.energy)
    return {
        'height': round(height, 4) if ok else None,
        'evaluations': int(frame.known('steps')[0]),
        'phases': truth.names_of(frame) if ok and height < LOW else [],
    }


def _first_label(labels: Frames, truth: Truth) -> dict[str, Any] | None:
    hits = np.flatnonzero(labels.energy_per_atom < truth.threshold)
    if not len(hits):
        return None
    index = int(hits[0])
    return {'number': index + 1, 'phases': truth.names_of(labels[index])}


def count_low(frames: Frames, truth: Truth, evaluations: np.ndarray | None = None) -> list[list[int]]:
    """Return after how many labels how many distinct low minima are known, where that number grows.

    :param frames: in the order of the labels.
    :param evaluations: (n_frames,), of each, none of what was rejected; one if not given.
    """
    spent = np.cumsum(np.ones(len(frames), int) if evaluations is None else evaluations)
    usable = frames.known('status') == LabelStatus.OK.value
    low = np.flatnonzero(usable & (frames.energy_per_atom < truth.energy + LOW) & (frames.max_force < AT_REST))
    spectra = fingerprints(frames.select(low), frames.elements)
    energies = frames.energy_per_atom[low]
    found: list[int] = []
    counts: list[list[int]] = []
    for position, index in enumerate(low.tolist()):
        near = [
            known
            for known in found
            if np.linalg.norm(spectra[known] - spectra[position]) < SAME[0]
            and abs(energies[known] - energies[position]) < SAME[1]
        ]
        if not near:
            found.append(position)
            counts.append([int(spent[index]), len(found)])
    return counts
