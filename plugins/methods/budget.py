"""When a search ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_prospect.common.enums import StopReason

LIMITS = {'max_labels': 'labels', 'max_cycles': 'cycles', 'max_core_hours': 'core_hours'}


def validate_budget(budget: Mapping[str, Any]) -> None:
    """Check the limits of a search.

    :param budget: a number, or ``None`` for no limit, for each of :data:`LIMITS`; what is missing is not limited.
    :raises ValueError: if a limit is unknown or not positive, or if there is none at all.
    """
    for name, value in budget.items():
        if name not in LIMITS:
            raise ValueError(f'unknown limit `{name}`; known are: {", ".join(LIMITS)}')
        if value is not None and not value > 0:
            raise ValueError(f'`{name}` must be greater than 0, or null for no limit; it is {value}')
    if all(value is None for value in budget.values()):
        raise ValueError(f'a search needs at least one limit: {", ".join(LIMITS)}')


def decide_stop(assessment: Mapping[str, Any], budget: Mapping[str, Any], spent: Mapping[str, float]) -> dict[str, Any]:
    """Decide whether a search goes on.

    :param assessment: has ``converged`` and, in words, ``reason``.
    :param budget: see :func:`validate_budget`.
    :param spent: number of ``labels``, of ``cycles`` and of ``core_hours`` so far.
    :return: ``reason``, the value of a :class:`StopReason` or ``None``; ``sentence``, in words; ``spent``; ``budget``.
    """
    result: dict[str, Any] = {
        'reason': None,
        'sentence': 'the search goes on',
        'spent': dict(spent),
        'budget': dict(budget),
    }
    if assessment['converged']:
        return {**result, 'reason': StopReason.CONVERGED.value, 'sentence': f'converged: {assessment["reason"]}'}
    for limit, quantity in LIMITS.items():
        allowed = budget.get(limit)
        if allowed is not None and spent[quantity] >= allowed:
            words = quantity.replace('_', ' ')
            sentence = f'not converged when the budget was spent: {spent[quantity]:.4g} of {allowed:g} {words}'
            return {**result, 'reason': StopReason(limit).value, 'sentence': sentence}
    return result
