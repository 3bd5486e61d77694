"""Which members of an ensemble can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Of fewer, one hard frame decides.
FEWEST_UNSEEN_FRAMES = 10
MAX_ATTEMPTS = 2
UNITS = {'energy': 'eV/atom', 'energy_shifted': 'eV/atom', 'forces': 'eV/Å', 'virial': 'eV/atom'}


def member_seed(seed: int, index: int, attempt: int) -> int:
    """Return the seed of a training, different for each member and attempt."""
    return 10007 * seed + 101 * index + attempt


def judge_results(
    results: Mapping[str, Mapping[str, Any]],
    failures: Mapping[str, str],
    parameters: Mapping[str, Any],
    costs: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Tell which members of an ensemble are good.

    :param results: of the trainings, by member: ``errors`` on ``training`` frames, the same for all, and perhaps on
        ``validation`` frames and on those that the member was ``fitted`` to; ``n_training``, ``n_validation``,
        ``total_seconds`` and perhaps ``n_left_out``, of how many training frames it was not fitted to.
    :param failures: why members have no result, by member.
    :param parameters: ``max_error_ratio``, see :func:`judge_members`.
    :param costs: core seconds by member, of all its trainings, also of those without a result; if it is not told, each
        member has been trained once, on one core.
    :return: ``accepted`` members, ``refused`` with the reason by member, ``errors`` by member and the frames that they
        were ``tested_on``, the frames that verdicts were ``judged_on``, ``seconds`` of the clock by member that has a
        result, ``core_seconds`` of all trainings together, ``n_training``, ``n_validation``.
    """
    seconds = {member: result['total_seconds'] for member, result in results.items()}
    tested_on = 'validation' if _are_enough(results, 'n_validation') else 'training'
    # What was fitted to tells at least which fit failed.
    few = tested_on == 'training' and not _are_enough(results, 'n_left_out')
    judged_on = 'fitted' if few and all('fitted' in result['errors'] for result in results.values()) else tested_on
    errors = {member: result['errors'][tested_on] for member, result in results.items()}
    judged = {member: result['errors'][judged_on] for member, result in results.items()}
    refused = {**failures, **judge_members(judged, parameters.get('max_error_ratio') or {})}
    return {
        'tested_on': tested_on,
        'judged_on': judged_on,
        'errors': errors,
        'accepted': sorted(set(errors) - set(refused)),
        'refused': refused,
        'seconds': seconds,
        'core_seconds': sum((seconds if costs is None else costs).values()),
        'n_training': max((result['n_training'] for result in results.values()), default=0),
        'n_validation': max((result['n_validation'] for result in results.values()), default=0),
    }


def _are_enough(results: Mapping[str, Mapping[str, Any]], count: str) -> bool:
    return all(result.get(count, 0) >= FEWEST_UNSEEN_FRAMES for result in results.values())


def judge_members(errors: Mapping[str, Mapping[str, float]], max_ratio: Mapping[str, float]) -> dict[str, str]:
    """Return why members are refused: an error is too many times larger than the median of the others'.

    :param errors: by member, each with errors by name, on the same data or on as much of it.
    :param max_ratio: by name of an error, the largest ratio allowed.
    :return: the reasons, by member; those not refused are absent. A single member is refused only if an error is not
        finite.
    :raises ValueError: if a ratio is asked for of an error that a member does not have.
    """
    reasons: dict[str, str] = {}
    for member, own in errors.items():
        for name, limit in max_ratio.items():
            if name not in own:
                raise ValueError(f'`{member}` has no error `{name}`, but: {", ".join(own)}')
            others = [other[name] for key, other in errors.items() if key != member and np.isfinite(other[name])]
            median = float(np.median(others)) if others else np.inf
            if not np.isfinite(own[name]):
                reasons.setdefault(member, f'the error `{name}` is not a finite number')
            elif own[name] > limit * median:
                reasons.setdefault(
                    member,
                    f'the error `{name}` is {own[name]:.4g} {UNITS.get(name, "")}, more than {limit} times the median '
                    f'{median:.4g} of the others',
                )
    return reasons
