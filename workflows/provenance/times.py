"""How long processes took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from aiida import orm
from aiida.common import timezone

from aiida_prospect.workflows.provenance.calls import among, calls_of

LAST_CHECK = f'attributes.{orm.CalcJobNode.SCHEDULER_LAST_CHECK_TIME_KEY}'


def seconds_of(node: orm.ProcessNode) -> float:
    """Return how long a process took, or has taken until now."""
    return seconds_of_all([node])[node.pk]


def seconds_of_all(nodes: Sequence[orm.ProcessNode]) -> dict[int, float]:
    """Return how long processes, none of them below another one, took or have taken until now, by PK."""
    ends, now = _ends([node for node in nodes if node.is_terminated]), timezone.now()
    return {node.pk: (ends.get(node.pk, now) - node.ctime).total_seconds() for node in nodes}


def _ends(nodes: Iterable[orm.ProcessNode]) -> dict[int, datetime]:
    """Return when the last was made of what processes and those below them called and gave.

    AiiDA notes no end, and it sets ``mtime`` with each label and extra that is changed later.
    """
    ends = {node.pk: node.ctime for node in nodes}
    root_of = {pk: pk for pk in ends}
    generation = list(ends)
    while generation:
        for pk, time in _times(generation):
            ends[root_of[pk]] = max(ends[root_of[pk]], time)
        calls = calls_of(generation)
        root_of |= {pk: root_of[caller] for caller, pk, *_ in calls}
        generation = [pk for _, pk, *_ in calls]
    return ends


def _times(pks: Sequence[int]) -> Iterator[tuple[int, datetime]]:
    """Return when processes began, when each of their outputs was stored, and when a queue was last asked for them."""
    query = orm.QueryBuilder()
    query.append(orm.ProcessNode, filters={'id': among(pks)}, tag='process', project=['id', 'ctime', LAST_CHECK])
    query.append(orm.Data, with_incoming='process', project='ctime', outerjoin=True)
    for pk, began, checked, given in query.all():
        yield pk, max(time for time in (began, checked and datetime.fromisoformat(checked), given) if time)
