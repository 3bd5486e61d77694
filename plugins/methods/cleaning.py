"""Labels that a training must not see.

A network chases a single absurd label at the expense of all others and reports no error, so every set is screened.
Rules and their numbers follow Marcolongo et al. (2019) (distances, interquartile ranges) and Hessmann et al. (2025)
(mean plus three standard deviations, 500 eV/Å). What they lack is added to each relative rule: an outlier must also be
far off in absolute terms, for the labels of a search are a mixture of narrow groups (minima) and broad ones (random
crystals), and rules that look at the spread alone reject one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames

FloatArray = NDArray[np.float64]
# Quartiles of fewer numbers mean nothing.
FEWEST_FOR_QUARTILES = 4


def clean(frames: Frames, thresholds: Mapping[str, Any]) -> list[str]:
    """Return for each frame why it is rejected, or an empty string.

    Frames whose status is not ``ok`` or that lack an energy or forces are always rejected. The rules are applied in the
    order of :data:`RULES`, each to what the ones before it have left.

    :param thresholds: of each rule; a rule that is absent or null is off. ``min_distance`` (Å); ``max_force`` (eV/Å);
        ``energy_outlier`` with ``factor`` (of the interquartile range, above the median), ``at_least`` (eV/atom),
        ``factor_below``, ``at_least_below``; ``force_outlier`` with ``factor``, ``at_least`` (eV/Å); ``force_excess``
        and ``stress_excess`` with ``sigmas``, ``at_least`` (eV/Å, eV/Å³).
    :raises ValueError: if a rule or one of its numbers is unknown or missing.
    """
    check_thresholds(thresholds)
    reasons = _unlabelled(frames)
    for name, rule in RULES.items():
        threshold = thresholds.get(name)
        left = np.flatnonzero([not reason for reason in reasons])
        if threshold is None or len(left) == 0:
            continue
        for index, reason in rule(frames.select(left), **_numbers_of(threshold)).items():
            reasons[left[index]] = reason
    return reasons


def check_thresholds(thresholds: Mapping[str, Any]) -> None:
    """Check the thresholds of :func:`clean`.

    :raises ValueError: if a rule or one of its numbers is unknown or missing, or is no number.
    """
    unknown = set(thresholds) - set(RULES)
    if unknown:
        raise ValueError(f'unknown cleaning rules: {", ".join(sorted(unknown))}; known: {", ".join(RULES)}')
    for name, threshold in thresholds.items():
        if threshold is None:
            continue
        numbers = _numbers_of(threshold)
        try:
            signature(RULES[name]).bind(None, **numbers)
        except TypeError as exception:
            raise ValueError(f'cleaning rule `{name}`: {exception}') from exception
        for word, value in numbers.items():
            if not isinstance(value, int | float):
                raise ValueError(f'cleaning rule `{name}`: `{word}` is {value!r}, expected a number')


def _numbers_of(threshold: Any) -> dict[str, Any]:
    return dict(threshold) if isinstance(threshold, Mapping) else {'limit': threshold}


def clean_sets(sets: Mapping[str, Frames], thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """Tell which frames of labelled sets must not be trained on; all sets are judged together.

    :param thresholds: see :func:`clean`.
    :return: ``rejected``: for each set the reasons by index of the frame, as text; ``n_frames`` of each set;
        ``n_accepted`` of all.
    """
    names = sorted(sets)
    reasons = clean(Frames.concatenate([sets[name] for name in names]), thresholds)
    rejected, start = {}, 0
    for name in names:
        stop = start + len(sets[name])
        rejected[name] = {str(index): reason for index, reason in enumerate(reasons[start:stop]) if reason}
        start = stop
    return {
        'rejected': rejected,
        'n_frames': {name: len(sets[name]) for name in names},
        'n_accepted': reasons.count(''),
    }


def smallest_distances(frames: Frames, limit: float) -> FloatArray:
    """Return the smallest distance between two atoms or an atom and its images, infinity if it is not below the limit.

    :return: (n_frames,), Å.
    """
    distances = [neighbor_list('d', atoms, limit) for atoms in frames.to_atoms()]
    return np.array([d.min() if len(d) else np.inf for d in distances])


def _unlabelled(frames: Frames) -> list[str]:
    if not len(frames):
        return []
    energy = np.full(len(frames), np.nan) if frames.energy is None else frames.energy
    forces = np.full((len(frames.numbers), 3), np.nan) if frames.forces is None else frames.forces
    broken_forces = frames.max_over_atoms((~np.isfinite(forces).all(axis=1)).astype(float)) > 0
    reasons = []
    for index in range(len(frames)):
        status = LabelStatus.OK.value if frames.status is None else str(frames.status[index])
        if status != LabelStatus.OK.value:
            reasons.append(f'the label is `{status}`')
        elif not np.isfinite(energy[index]):
            reasons.append('the energy is not a finite number')
        elif broken_forces[index]:
            reasons.append('a force is not a finite number')
        elif frames.stress is not None and np.any(np.isinf(frames.stress[index])):
            reasons.append('the stress is infinite')
        else:
            reasons.append('')
    return reasons


def _min_distance(frames: Frames, limit: float) -> dict[int, str]:
    distances = smallest_distances(frames, limit)
    return {
        int(i): f'two atoms are {distances[i]:.3f} Å apart, less than {limit} Å'
        for i in np.flatnonzero(np.isfinite(distances))
    }


def _max_force(frames: Frames, limit: float) -> dict[int, str]:
    force = frames.max_force
    return {int(i): f'a force of {force[i]:.1f} eV/Å, more than {limit}' for i in np.flatnonzero(force > limit)}


def _energy_outlier(
    frames: Frames, factor: float, at_least: float, factor_below: float, at_least_below: float
) -> dict[int, str]:
    # Below the median the bounds are wider: the ground state that is searched for lies low among random crystals.
    energy = frames.energy_per_atom
    kinds = np.array(frames.reduced_formulas)
    reasons = {}
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        if len(members) < FEWEST_FOR_QUARTILES:
            continue
        lower, median, upper = np.percentile(energy[members], [25, 50, 75])
        highest = median + max(factor * (upper - lower), at_least)
        lowest = median - max(factor_below * (upper - lower), at_least_below)
        for i in members[(energy[members] > highest) | (energy[members] < lowest)]:
            reasons[int(i)] = f'{energy[i]:.3f} eV/atom, outside {lowest:.3f} to {highest:.3f} (all of {kind})'
    return reasons


def _force_outlier(frames: Frames, factor: float, at_least: float) -> dict[int, str]:
    if len(frames) < FEWEST_FOR_QUARTILES:
        return {}
    components = frames.known('forces')
    lower, median, upper = np.percentile(components, [25, 50, 75])
    allowed = max(factor * (upper - lower), at_least)
    deviation = frames.max_over_atoms(np.abs(components - median).max(axis=1))
    return {
        int(i): f'a force component of {deviation[i]:.1f} eV/Å, more than {allowed:.1f}'
        for i in np.flatnonzero(deviation > allowed)
    }


def _force_excess(frames: Frames, sigmas: float, at_least: float) -> dict[int, str]:
    return _excess(frames.max_force, sigmas, at_least, 'the largest force', 'eV/Å')


def _stress_excess(frames: Frames, sigmas: float, at_least: float) -> dict[int, str]:
    if frames.stress is None:
        return {}
    return _excess(np.abs(frames.stress).max(axis=(1, 2)), sigmas, at_least, 'the largest stress component', 'eV/Å³')


def _excess(values: FloatArray, sigmas: float, at_least: float, what: str, unit: str) -> dict[int, str]:
    known = values[np.isfinite(values)]
    if not len(known):
        return {}
    mean = known.mean()
    allowed = mean + max(sigmas * known.std(), at_least)
    return {
        int(i): f'{what} is {values[i]:.3g} {unit}, more than {allowed:.3g} (the mean is {mean:.3g})'
        for i in np.flatnonzero(values > allowed)
    }


RULES: dict[str, Callable[..., dict[int, str]]] = {
    'min_distance': _min_distance,
    'max_force': _max_force,
    'energy_outlier': _energy_outlier,
    'force_outlier': _force_outlier,
    'force_excess': _force_excess,
    'stress_excess': _stress_excess,
}
