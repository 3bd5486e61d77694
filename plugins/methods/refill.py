"""Fresh random crystals in place of those of a relaxed pool that are of no more use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.common.frames import FloatArray, Frames, IntArray
from aiida_prospect.methods.clusters import NO_MINIMUM, UNCERTAIN
from aiida_prospect.methods.pool.generate import OWN, generate
from aiida_prospect.methods.pool.report import PoolReport
from aiida_prospect.methods.pool.seeds import generator_for
from aiida_prospect.methods.pool.spec import PoolSpec

# What `origin_prefix` gives.
OF_CYCLES = r'c\d{2,}-'


def surplus(
    labels: IntArray,
    energies: FloatArray | None,
    keep_per_cluster: int,
    keep_share: float = 1.0,
    limit: int | None = None,
    keep_uncertain: bool = True,
    kept: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mark the frames that a pool can do without: unusable ones, copies of a minimum, and the highest minima.

    :param labels: (n_frames,), cluster of each frame, the lowest cluster first, or what
        :class:`~aiida_prospect.methods.clusters.Clusters` has for frames without one.
    :param energies: (n_frames,), per atom; without them the first frames of a cluster stay.
    :param keep_per_cluster: number of frames of a cluster that stay, its lowest ones.
    :param keep_share: number of clusters that stay, the lowest ones, in units of the number of frames.
    :param limit: mark at most so many: unusable ones first, then uncertain ones, then those of which there are most
        lower copies, then the highest clusters.
    :param keep_uncertain: whether frames stay about which the ensemble disagrees; only an ensemble that has learnt
        since can relax them further.
    :param kept: (n_frames,), frames that stay whatever they are; none if not given.
    :return: (n_frames,).
    :raises ValueError: if less than one frame is to stay, or the arrays differ in length.
    """
    n_frames = len(labels)
    if keep_per_cluster < 1:
        raise ValueError(
            f'`keep_per_cluster` is {keep_per_cluster}: at least 1 must stay, or the minimum itself is lost'
        )
    if not 0 < keep_share <= 1:
        raise ValueError(f'`keep_share` is {keep_share}, expected more than 0 and at most 1')
    if energies is not None and len(energies) != n_frames:
        raise ValueError(f'{n_frames} labels for {len(energies)} frames: the clusters are those of another pool')
    order = np.lexsort((np.zeros(n_frames) if energies is None else energies, labels))
    ordered = labels[order]
    rank = np.arange(n_frames) - np.searchsorted(ordered, ordered)
    copies = np.zeros(n_frames, dtype=np.int64)
    copies[order] = np.where(ordered >= 0, np.maximum(rank - keep_per_cluster + 1, 0), 0)
    is_high = labels >= np.ceil(keep_share * n_frames)
    # Whole numbers for unusable and uncertain frames and copies, fractions for what is merely high.
    dispensable = copies + np.where(is_high, labels / max(n_frames, 1), 0.0)
    dispensable[labels == NO_MINIMUM] = n_frames + 2
    if not keep_uncertain:
        dispensable[labels == UNCERTAIN] = n_frames + 1
    if kept is not None:
        dispensable[kept] = 0
    marked = dispensable > 0
    if limit is not None:
        marked[np.argsort(-dispensable, kind='stable')[limit:]] = False
    return marked


def refill_from_parameters(
    pool: Frames, labels: IntArray, parameters: Mapping[str, Any], own: Frames | None = None
) -> tuple[Frames, PoolReport]:
    """Replace unusable frames, copies and high minima by new random crystals, see :func:`surplus` and :func:`refill`.

    A user's own structure may be unusable or uncertain to a poor ensemble only: it stays for a better one, if unusable
    as it was given.

    :param labels: (n_frames,), cluster of each frame.
    :param own: what a user brought along, as it was when the pool was made.
    :param parameters: those of :class:`PoolSpec` and a ``seed``, the number of the ``cycle``, and ``keep_per_cluster``,
        ``keep_share``, ``keep_uncertain`` and ``max_new``; the values of ``n_structures`` and ``origin_prefix`` have no
        effect.
    :raises ValueError: if they do not fit.
    :raises PoolError: if no crystal can be made.
    """
    values = dict(parameters)
    values['origin_prefix'] = origin_prefix(values.pop('cycle'))
    energies = None if pool.energy is None else pool.energy_per_atom
    rng = generator_for(values.pop('seed', None), values['origin_prefix'])
    limits = {name: values.pop(name) for name in ('keep_per_cluster', 'keep_share')}
    limits['keep_uncertain'] = values.pop('keep_uncertain', True)
    lost, no_minimum = is_lost(pool, labels), is_own(pool) & (labels < 0)
    marked = surplus(labels, energies, **limits, limit=values.pop('max_new', None), kept=lost | no_minimum)
    spec = PoolSpec.from_parameters(values)
    unusable = no_minimum & (labels == NO_MINIMUM) & ~lost
    return refill(_as_given(pool, unusable, own, spec), marked, spec, rng)


def is_own(pool: Frames) -> NDArray[np.bool_]:
    """Tell which frames are structures that a user brought along: (n_frames,)."""
    return np.array([bool(name) for name in _own_names(pool)], dtype=bool)


def _own_names(pool: Frames) -> list[str]:
    """Return the names of a user's own structures without what a pool puts before them, empty for others."""
    origins = [''] * len(pool) if pool.origin is None else pool.origin.tolist()
    found = [re.search(rf'{OWN}-\d+$', origin) for origin in origins]
    return [match.group() if match else '' for match in found]


def _as_given(pool: Frames, marked: NDArray[np.bool_], own: Frames | None, spec: PoolSpec) -> Frames:
    """Return a pool with some of the own structures as they were given, and no more known of them."""
    if own is None or not marked.any():
        return pool
    given, _ = generate(replace(spec, n_structures=0, origin_prefix=''), np.random.default_rng(0), own)
    place = {name: len(pool) + index for index, name in enumerate(_own_names(given))}
    names, order = _own_names(pool), np.arange(len(pool))
    order[marked] = [place.get(names[index], index) for index in np.flatnonzero(marked)]
    return Frames.concatenate([pool, given]).select(order).replace(origin=pool.origin)


def is_lost(pool: Frames, labels: IntArray) -> NDArray[np.bool_]:
    """Tell which crystals were not relaxed because a job left no results.

    :param labels: (n_frames,), cluster of each frame.
    :return: (n_frames,).
    """
    if pool.status is None:
        return np.zeros(len(pool), dtype=bool)
    return np.asarray((pool.status == RelaxStatus.UNFINISHED.value) & (labels == NO_MINIMUM))


def origin_prefix(cycle: int) -> str:
    """Return what the origins of crystals begin with that came into the pool in a cycle."""
    return f'c{cycle:02d}-'


def check_prefix(prefix: Any) -> None:
    """Refuse to begin a pool with origins like those of crystals that come into it later.

    :raises ValueError: with the prefix.
    """
    if not isinstance(prefix, str) or re.match(OF_CYCLES, prefix):
        raise ValueError(
            f'`origin_prefix` is {prefix!r}: give a text that does not begin like `{origin_prefix(1)}`, which is put '
            'before what comes into the pool in a later cycle'
        )


def is_new(pool: Frames, cycle: int) -> NDArray[np.bool_]:
    """Tell which crystals came into the pool in a cycle; in the first one all are new.

    :return: (n_frames,).
    """
    if cycle == 0:
        return np.ones(len(pool), dtype=bool)
    return np.array([str(origin).startswith(origin_prefix(cycle)) for origin in pool.known('origin')], dtype=bool)


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
