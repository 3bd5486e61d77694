"""Fresh random crystals in place of those of a relaxed pool that are of no more use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.frames import FloatArray, Frames, IntArray
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.report import PoolReport
from aiida_prospect.methods.pool.seeds import generator_for
from aiida_prospect.methods.pool.spec import PoolSpec

UNUSABLE = -1


def surplus(
    labels: IntArray, energies: FloatArray | None, keep_per_cluster: int, limit: int | None = None
) -> NDArray[np.bool_]:
    """Mark the frames that a pool can do without: unusable ones and all but the lowest of each cluster.

    :param labels: (n_frames,), cluster of each frame; −1: unusable; other negative ones are kept.
    :param energies: (n_frames,), per atom; without them the first frames of a cluster stay.
    :param keep_per_cluster: number of frames of a cluster that stay.
    :param limit: mark at most so many: unusable ones first, then those of which there are most lower copies.
    :return: (n_frames,).
    :raises ValueError: if less than one frame is to stay, or the arrays differ in length.
    """
    if keep_per_cluster < 1:
        raise ValueError(
            f'`keep_per_cluster` is {keep_per_cluster}: at least 1 must stay, or the minimum itself is lost'
        )
    if energies is not None and len(energies) != len(labels):
        raise ValueError(f'{len(labels)} labels for {len(energies)} frames: the clusters are those of another pool')
    order = np.lexsort((np.zeros(len(labels)) if energies is None else energies, labels))
    ordered = labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    copies = np.zeros(len(labels), dtype=np.int64)
    copies[order] = np.where(ordered >= 0, np.maximum(rank - keep_per_cluster + 1, 0), 0)
    copies[labels == UNUSABLE] = len(labels) + 1
    marked = copies > 0
    if limit is not None:
        marked[np.argsort(-copies, kind='stable')[limit:]] = False
    return marked


def refill_from_parameters(pool: Frames, labels: IntArray, parameters: Mapping[str, Any]) -> tuple[Frames, PoolReport]:
    """Replace unusable frames and copies by new random crystals, see :func:`surplus` and :func:`refill`.

    :param labels: (n_frames,), cluster of each frame.
    :param parameters: those of :class:`PoolSpec` and a ``seed``, and ``keep_per_cluster`` and ``max_new``;
        ``n_structures`` has no effect and ``origin_prefix`` must differ from those before.
    :raises ValueError: if they do not fit.
    :raises PoolError: if no crystal can be made.
    """
    values = dict(parameters)
    energies = None if pool.energy is None else pool.energy_per_atom
    rng = generator_for(values.pop('seed', None), values.get('origin_prefix', ''))
    marked = surplus(labels, energies, values.pop('keep_per_cluster'), values.pop('max_new', None))
    return refill(pool, marked, PoolSpec.from_parameters(values), rng)


def refill(
    pool: Frames, marked: NDArray[np.bool_], spec: PoolSpec, rng: np.random.Generator
) -> tuple[Frames, PoolReport]:
    """Replace frames of a pool by random crystals; the others stay where they are with all that is known of them.

    If fewer crystals can be made than are marked, the last of the marked frames stay. Numbers of atoms may change.

    :param marked: (n_frames,), which to replace.
    :param spec: of the new crystals, but for their number; its ``origin_prefix`` must be new to the pool.
    :return: frames of the same number, of the new ones only structure and origin known.
    :raises ValueError: if the mask does not fit or an origin would occur twice.
    :raises PoolError: if no crystal can be made.
    """
    if marked.shape != (len(pool),) or marked.dtype != bool:
        raise ValueError(f'the mask has shape {marked.shape}, the pool {len(pool)} frames')
    fresh, report = generate(replace(spec, n_structures=int(marked.sum())), rng)
    taken = set() if pool.origin is None else set(pool.origin.tolist())
    twice = taken & set(fresh.known('origin').tolist() if len(fresh) else [])
    if twice:
        raise ValueError(f'the origin `{min(twice)}` is in the pool already: give another `origin_prefix`')
    places = np.flatnonzero(marked)[: len(fresh)]
    order = np.arange(len(pool))
    order[places] = len(pool) + np.arange(len(places))
    return Frames.concatenate([pool, fresh]).select(order) if len(fresh) else pool, report
