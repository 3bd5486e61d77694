"""Which members of an ensemble can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

UNITS = {'energy': 'eV/atom', 'energy_shifted': 'eV/atom', 'forces': 'eV/Å', 'virial': 'eV/atom'}


def judge_members(errors: Mapping[str, Mapping[str, float]], max_ratio: Mapping[str, float]) -> dict[str, str]:
    """Return why members are refused: an error is too many times larger than the median of the others'.

    :param errors: by member, each with errors by name, on data common to all.
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
