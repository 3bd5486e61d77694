"""A pool in slices of every n-th frame, each relaxed by a job of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.common.frames import Frames

LOST = 'the job that was to relax this frame has left no results'


def count_slices(n_frames: int, slice_size: int, max_concurrent: int) -> int:
    """Return in how many slices to divide a pool: small enough, and enough of them to keep all jobs busy."""
    return min(n_frames, max(max_concurrent, -(-n_frames // slice_size)))


def merge_slices(pool: Frames, n_slices: int, parts: Mapping[int, Frames]) -> Frames:
    """Return the whole pool in its order.

    :param parts: by number ``k``, the frames ``k``, ``k + n_slices``, … of the pool, relaxed; frames of a part that is
        missing come back as they were, with the status ``unfinished`` and without energies.
    :raises ValueError: if a part has not the frames of its slice.
    """
    whole: list[Frames] = []
    order: list[int] = []
    for number in range(n_slices):
        indices = range(number, len(pool), n_slices)
        part = parts[number] if number in parts else _unfinished(pool.select(indices))
        if not np.array_equal(part.numbers, pool.select(indices).numbers):
            raise ValueError(f'slice {number} of {n_slices} has other frames than the pool')
        whole.append(part)
        order.extend(indices)
    return Frames.concatenate(whole).select(np.argsort(order))


def _unfinished(frames: Frames) -> Frames:
    size = len(frames)
    bare = frames.without('energy', 'forces', 'stress', 'energy_spread', 'forces_spread', 'energy_initial')
    return bare.replace(status=[RelaxStatus.UNFINISHED.value] * size, reason=[LOST] * size, steps=[0] * size)


def summarise(pool: Frames, statistics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what became of a pool and what it took.

    :param statistics: of each job.
    """
    status, counts = np.unique(pool.known('status'), return_counts=True)
    physical = pool.known('status') != RelaxStatus.UNPHYSICAL.value
    energies = np.full(len(pool), np.nan) if pool.energy is None else pool.energy_per_atom
    energies = energies[physical & np.isfinite(energies)]
    return {
        'frames': len(pool),
        'by_status': {str(name): int(count) for name, count in zip(status, counts, strict=True)},
        'steps': int(pool.known('steps').sum()),
        'lowest_energy_per_atom': float(energies.min()) if len(energies) else None,
        'core_seconds': float(sum(item.get('core_seconds', 0.0) for item in statistics)),
        'jobs': len(statistics),
    }
