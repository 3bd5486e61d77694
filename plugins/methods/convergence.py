"""Whether a search is at its end: the lowest minima no longer change, and labels say that they are real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.methods.calibration import calibrate, usable_labels
from aiida_prospect.methods.clusters import Clusters, compositions
from aiida_prospect.methods.fingerprints import TOLERANCE, nearest
from aiida_prospect.methods.refill import is_lost


@dataclass(frozen=True)
class ConvergenceSettings:
    """When a search is converged.

    :param n_clusters: number of the lowest clusters that count.
    :param max_fall: how far their energies may have fallen in the last relaxation, eV per atom.
    :param patience: number of successive cycles in which they must have fallen no further.
    :param n_explored: number of new random crystals that must have been relaxed to an end in these cycles. A minimum
        that a share ``p`` of all crystals leads to is missed with a chance of ``(1 - p) ** n_explored``.
    :param max_error: largest difference of ensemble and label at each of these minima, eV per atom.
    :param tolerance: distance of fingerprints up to which a label is one of the minimum. Twice that of equal
        structures: from cycle to cycle a minimum moves with the ensemble, by 3 % of its volume for this distance, which
        costs less than 10 meV/atom in a crystal as hard as silicon.
    """

    n_clusters: int = 5
    max_fall: float = 0.01
    patience: int = 1
    n_explored: int = 0
    max_error: float = 0.02
    tolerance: float = 2 * TOLERANCE

    def __post_init__(self) -> None:
        if self.n_clusters < 1 or self.patience < 1:
            raise ValueError(f'`n_clusters` and `patience` must be at least 1, got {self.n_clusters}, {self.patience}')
        if self.n_explored < 0:
            raise ValueError(f'`n_explored` must not be negative, it is {self.n_explored}')


def assess(
    pool: Frames,
    clusters: Clusters,
    fingerprints: FloatArray,
    labels: Mapping[str, Frames],
    label_fingerprints: Mapping[str, FloatArray],
    settings: ConvergenceSettings | None = None,
    previous: Mapping[str, Any] | None = None,
    new: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Judge a relaxed pool.

    *Stable*: ``energy_initial`` of the pool is the energy of the previous cycle's structures under the current
    ensemble. The lowest clusters of then and now are compared rank by rank, within each composition, and none may have
    fallen by more than ``max_fall``. So a new lower cluster, or a basin that gets deeper, forbids to stop, while a new
    potential alone does not. Enough new crystals must have been relaxed since, unless the pool takes in none any more,
    and no job may have left its part of the pool as it was.
    *Confirmed*: near each of the lowest minima there is a label whose energy agrees with the ensemble's.

    :param labels: of all cycles, by names that sort by cycle; the last one calibrates the ensemble.
    :param label_fingerprints: the same names, (n_frames, d) each.
    :param previous: what this function returned for the cycle before.
    :param new: (n_frames,), which crystals came into the pool in this cycle; none if not given.
    :return: a JSON-able assessment: ``converged``, ``reason`` in words, ``needs_labels``, which is false if nothing but
        new crystals is missing and some came to an end, and every number. Unknown numbers are ``None``.
    """
    settings = settings or ConvergenceSettings()
    names = sorted(labels)
    lowest = clusters.representatives[: settings.n_clusters]
    new = np.zeros(len(pool), dtype=bool) if new is None else new
    stability = _stability(pool, clusters, settings, previous, new)
    confirmation = _confirmation(pool, lowest, fingerprints, labels, label_fingerprints, settings)
    converged = bool(stability['stable'] and confirmation['confirmed'])
    reason = f'{stability.pop("sentence")}; {confirmation.pop("sentence")}'
    return _without_nan(
        {
            'converged': converged,
            'needs_labels': not (stability.pop('explores') and confirmation['confirmed']),
            'reason': reason,
            'stability': stability,
            'confirmation': confirmation,
            'settings': asdict(settings),
            'n_labels': int(sum(_attempted(labels[name]) for name in names)),
            'labels': _count(np.concatenate([[], *(_statuses(labels[name]) for name in names)])),
            'best_labels': best_labels(labels),
            'calibration': asdict(calibrate(labels[names[-1]])) if names else None,
            'n_clusters': len(clusters),
            'pool': _count(_statuses(pool)),
        }
    )


def _stability(
    pool: Frames,
    clusters: Clusters,
    settings: ConvergenceSettings,
    previous: Mapping[str, Any] | None,
    new: NDArray[np.bool_],
) -> dict[str, Any]:
    falls = falls_of_lowest(pool, clusters, settings.n_clusters)
    known = len(falls) > 0 and bool(np.all(np.isfinite(falls)))
    before = previous['stability'] if previous else {}
    quiet_cycles = explored = 0
    ended = int(np.sum(new & (clusters.labels >= 0)))
    if known and np.max(falls) <= settings.max_fall:
        quiet_cycles = 1 + before.get('quiet_cycles', 0)
        explored = ended + before.get('explored', 0)
    quiet = quiet_cycles >= settings.patience
    lost = int(np.sum(is_lost(pool, clusters.labels)))
    if known:
        sentence = (
            f'the {len(falls)} lowest clusters fell by at most {1000 * max(float(np.max(falls)), 0):.1f} meV/atom '
            f'(allowed: {1000 * settings.max_fall:g}), quiet cycles: {quiet_cycles} (needed: {settings.patience}), '
            f'new crystals relaxed in them: {explored} (needed: {settings.n_explored})'
        )
    elif len(falls):
        sentence = 'how far the lowest clusters fell is not known'
    else:
        sentence = 'there is no minimum'
    if lost:
        sentence += f', but {lost} crystals were not relaxed, because their jobs left no results'
    return {
        'stable': quiet and not lost and (explored >= settings.n_explored or not new.any()),
        # Where the ensemble brings no new crystal to an end, it must learn more.
        'explores': quiet and (ended > 0 or not new.any()),
        'quiet_cycles': quiet_cycles,
        'explored': explored,
        'largest_fall': float(np.max(falls)) if known else None,
        'falls': falls.tolist(),
        'sentence': sentence,
    }


def falls_of_lowest(pool: Frames, clusters: Clusters, n_clusters: int) -> FloatArray:
    """Return how far the lowest clusters have fallen during the relaxation, rank by rank.

    :return: (min(n_clusters, number of clusters),), eV per atom, NaN where unknown; negative if a rank has risen.
    """
    lowest = clusters.representatives[:n_clusters]
    falls = np.full(len(lowest), np.nan)
    if pool.energy_initial is None or not len(lowest):
        return falls
    before = np.full(len(clusters), np.inf)
    members = np.flatnonzero((clusters.labels >= 0) & np.isfinite(pool.energy_initial))
    np.minimum.at(before, clusters.labels[members], pool.energy_initial[members] / pool.n_atoms[members])
    kinds = compositions(pool)[clusters.representatives]
    for kind in np.unique(kinds[: len(lowest)]):
        mine = np.flatnonzero(kinds[: len(lowest)] == kind)
        ranked = np.sort(before[kinds == kind])[: len(mine)]
        falls[mine] = np.where(np.isfinite(ranked), ranked, np.nan) - clusters.energies[mine]
    return falls


def _confirmation(
    pool: Frames,
    lowest: np.ndarray,
    fingerprints: FloatArray,
    labels: Mapping[str, Frames],
    label_fingerprints: Mapping[str, FloatArray],
    settings: ConvergenceSettings,
) -> dict[str, Any]:
    energy = pool.energy_per_atom if pool.energy is not None else np.full(len(pool), np.nan)
    found: list[dict[str, Any]] = []
    for rank, index in enumerate(lowest.tolist()):
        label = _nearest_label(fingerprints[index], labels, label_fingerprints)
        near = label['distance'] < settings.tolerance
        error = float(energy[index] - label['label_energy']) if near else float('nan')
        here = {'cluster': rank, 'frame': index, 'energy': float(energy[index])}
        found.append({**here, **label, 'error': error, 'confirmed': abs(error) <= settings.max_error})
    n_confirmed = sum(item['confirmed'] for item in found)
    errors = [abs(item['error']) for item in found if np.isfinite(item['error'])]
    missing = len(found) - len(errors)
    worst = f', the largest error is {1000 * max(errors):.1f} meV/atom' if errors else ''
    without = f', {missing} without a label' if missing else ''
    sentence = (
        f'{n_confirmed} of {len(found)} are confirmed by labels within {1000 * settings.max_error:g} meV/atom'
        f'{worst}{without}'
    )
    return {
        'confirmed': bool(found) and n_confirmed == len(found),
        'n_confirmed': n_confirmed,
        'n_without_label': missing,
        'largest_error': max(errors) if errors else None,
        'minima': found,
        'sentence': sentence,
    }


def _nearest_label(
    fingerprint: FloatArray, labels: Mapping[str, Frames], label_fingerprints: Mapping[str, FloatArray]
) -> dict[str, Any]:
    best: dict[str, Any] = {'distance': float('inf'), 'label_set': None, 'label_frame': -1}
    best['label_energy'] = float('nan')
    for name in sorted(labels):
        usable = np.flatnonzero(usable_labels(labels[name]))
        distance, position = nearest(fingerprint[None], label_fingerprints[name][usable])
        # Of equally near labels the later one counts.
        if position[0] >= 0 and distance[0] <= best['distance']:
            index = int(usable[position[0]])
            energy = float(labels[name].energy_per_atom[index])
            best = {'distance': float(distance[0]), 'label_set': name, 'label_frame': index, 'label_energy': energy}
    return best


def best_labels(labels: Mapping[str, Frames]) -> dict[str, dict[str, Any]]:
    """Return the lowest labelled energy of each formula: energy in eV per atom, set and frame."""
    best: dict[str, dict[str, Any]] = {}
    for name in sorted(labels):
        frames = labels[name]
        formulas = frames.formulas
        for index in np.flatnonzero(usable_labels(frames)):
            formula, energy = formulas[index], float(frames.energy_per_atom[index])
            if formula not in best or energy < best[formula]['energy']:
                best[formula] = {'energy': energy, 'label_set': name, 'label_frame': int(index)}
    return best


def _statuses(frames: Frames) -> np.ndarray:
    return frames.status if frames.status is not None else np.full(len(frames), 'unknown')


def _attempted(labels: Frames) -> int:
    return int(np.sum(_statuses(labels) != str(LabelStatus.REJECTED)))


def _count(statuses: np.ndarray) -> dict[str, int]:
    return dict(sorted(Counter(str(status) for status in statuses).items()))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
