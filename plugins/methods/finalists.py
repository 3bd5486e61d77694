"""The structures that a search hands over to the reference method for relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.clusters import same_crystal
from aiida_prospect.methods.fingerprints import nearest

# In tolerances: so far atoms that were displaced for a label move its fingerprint.
MOVED = 4.0


def choose_finalists(
    pool: Frames,
    pool_fingerprints: NDArray[np.float64],
    representatives: Sequence[int] | NDArray[np.int64],
    labelled: Frames,
    labelled_fingerprints: NDArray[np.float64],
    *,
    n_minima: int,
    energy_window: float,
    tolerance: float,
    minima: NDArray[np.bool_] | None = None,
) -> Frames:
    """Choose the lowest structures, each once, whether the ensemble or a label says that it is low.

    A structure that was labelled counts with the energy of its label, which is worth more than the ensemble's; of equal
    structures that of the pool is taken because it is relaxed. Labels of what became a lower minimum of the pool since
    are left out, and labels of a crystal that is there already, displaced.

    :param pool: relaxed structures, energies in eV; or what was never relaxed, without: then only labels count.
    :param pool_fingerprints: (len(pool), d).
    :param representatives: frames of the pool, one for each cluster.
    :param labelled: structures with a ``status``.
    :param labelled_fingerprints: (len(labelled), d).
    :param n_minima: return at most so many.
    :param energy_window: eV/atom above the lowest.
    :param tolerance: distance of fingerprints below which two structures are the same.
    :param minima: (len(pool),), which frames are in a cluster; all if not given.
    :return: ``origin`` and ``reason`` tell where each comes from; ``source`` is the frame of the pool, −1 for a label.
    """
    usable = np.flatnonzero(labelled.known('status') == LabelStatus.OK.value) if len(labelled) else np.empty(0, int)
    label_energies = labelled.energy_per_atom[usable] if len(usable) else np.empty(0)
    chosen_pool = np.asarray(representatives, dtype=int)
    energies = _energies(pool)[chosen_pool]
    reasons = [f'ensemble: {energy:.4f} eV/atom' for energy in energies]
    free = np.ones(len(usable), bool)
    if len(chosen_pool) and len(usable):
        distance, home = nearest(labelled_fingerprints[usable], pool_fingerprints[chosen_pool])
        for position in np.argsort(label_energies, kind='stable'):
            if distance[position] < tolerance:
                free[position] = False
                if not reasons[home[position]].startswith('label'):
                    energies[home[position]] = label_energies[position]
                    reasons[home[position]] = f'label of its twin: {label_energies[position]:.4f} eV/atom'
    free &= ~_superseded(pool if minima is None else pool.select(minima), labelled.select(usable))
    lonely = usable[free]
    frames = Frames.concatenate([_carry(pool.select(chosen_pool), chosen_pool), _carry(labelled.select(lonely), -1)])
    energies = np.concatenate([energies, label_energies[free]])
    reasons += [f'label: {energy:.4f} eV/atom' for energy in label_energies[free]]
    order = _by_energy(energies, energy_window)
    spectra = np.concatenate([pool_fingerprints[chosen_pool], labelled_fingerprints[lonely]])
    chosen = _distinct(frames, spectra, order, n_minima, MOVED * tolerance)
    return frames.replace(reason=reasons).select(chosen)


def _energies(frames: Frames) -> NDArray[np.float64]:
    return np.full(len(frames), np.nan) if frames.energy is None else frames.energy_per_atom


def _superseded(pool: Frames, labelled: Frames) -> NDArray[np.bool_]:
    """Tell which labels are of an earlier state of a minimum of less energy."""
    if pool.origin is None or labelled.origin is None or not len(labelled):
        return np.zeros(len(labelled), bool)
    energies = dict(zip(pool.origin.tolist(), _energies(pool).tolist(), strict=True))
    now = np.array([energies.get(origin, np.nan) for origin in labelled.origin.tolist()])
    return np.asarray(now <= labelled.energy_per_atom)


def _carry(frames: Frames, source: NDArray[np.int64] | int) -> Frames:
    bare = Frames(frames.numbers, frames.offsets, frames.positions, frames.cells)
    origin = frames.origin if frames.origin is not None else np.full(len(frames), '')
    return bare.replace(origin=origin, source=np.broadcast_to(source, len(frames)))


def _by_energy(energies: NDArray[np.float64], energy_window: float) -> list[int]:
    """Return what is at most so far above the lowest, the lowest first."""
    order = [index for index in np.argsort(energies, kind='stable').tolist() if np.isfinite(energies[index])]
    return [index for index in order if energies[index] <= energies[order[0]] + energy_window]


def _distinct(
    frames: Frames, spectra: NDArray[np.float64], order: Sequence[int], n_minima: int, distance: float
) -> list[int]:
    """Return the first ones, without labels that are one of them displaced; clusters of a pool are distinct already."""
    chosen: list[int] = []
    for index in order:
        if len(chosen) == n_minima:
            break
        near = [i for i in chosen if np.linalg.norm(spectra[i] - spectra[index]) < distance]
        alike = (i for i in near if min(frames.known('source')[[i, index]]) < 0)
        if not any(same_crystal(frames, i, index) for i in alike):
            chosen.append(index)
    return chosen
