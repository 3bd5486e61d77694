"""When a search ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_prospect.common.enums import StopReason

HOURS = ('max_core_hours', 'core_hours')
LIMITS = {'max_labels': 'labels', 'max_cycles': 'cycles', **dict([HOURS])}
SPENT = 'not converged when the budget was spent'
VERBS = {'label': 'label more', 'train': 'train on the last labels', 'explore': 'relax the pool again'}


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


def expected_core_hours(costs: Sequence[tuple[str, float, int]], stage: str, amount: int) -> float:
    """Return what a stage will take, judged by those of its kind that took least; nothing if it is the first.

    :param costs: stage, core seconds, and how much was done in it, of all that came before.
    :param amount: how much is to be done: labels, or 1 for what does not grow by number.
    """
    rates = [seconds / done for name, seconds, done in costs if name == stage and done > 0]
    return amount * min(rates, default=0.0) / 3600


def decide_stop(
    assessment: Mapping[str, Any] | None, budget: Mapping[str, Any], spent: Mapping[str, Any]
) -> dict[str, Any]:
    """Decide whether a search goes on.

    :param assessment: has ``converged`` and, in words, ``reason``; where ``needs_labels`` is false their limit ends
        nothing. ``None`` in the middle of a cycle, which is brought to its end unless the core hours do not allow it.
    :param budget: see :func:`validate_budget`.
    :param spent: number of ``labels``, of ``cycles`` and of ``core_hours`` so far; ``ahead``, if known, is what comes
        next: ``stage`` and ``core_hours``.
    :return: ``reason``, the value of a :class:`StopReason` or ``None``; ``sentence``, in words; ``spent``; ``budget``.
    """
    result: dict[str, Any] = {
        'reason': None,
        'sentence': 'the search goes on',
        'spent': dict(spent),
        'budget': dict(budget),
    }
    if assessment is not None and assessment['converged']:
        return {**result, 'reason': StopReason.CONVERGED.value, 'sentence': f'converged: {assessment["reason"]}'}
    for limit, quantity in LIMITS.items() if assessment is not None else [HOURS]:
        if limit == 'max_labels' and assessment is not None and not assessment.get('needs_labels', True):
            continue
        allowed = budget.get(limit)
        ahead = spent.get('ahead', {}).get(quantity, 0.0)
        if allowed is not None and (spent[quantity] >= allowed or spent[quantity] + ahead > allowed):
            sentence = f'{SPENT}: {spent[quantity]:.4g} of {allowed:g} {quantity.replace("_", " ")}'
            if spent[quantity] < allowed:
                sentence += f', and to {VERBS[spent["ahead"]["stage"]]} would take about {ahead:.2g} more'
            return {**result, 'reason': StopReason(limit).value, 'sentence': sentence}
    return result
