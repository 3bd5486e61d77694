"""What a search cost: core seconds, jobs and wall time by stage and cycle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.workflows.provenance.calls import jobs_below, reports_of
from aiida_prospect.workflows.provenance.cycles import CYCLE, check_search, predecessor
from aiida_prospect.workflows.provenance.times import seconds_of, seconds_of_all

STAGES = ('pool', 'select', 'label', 'train', 'refill', 'explore', 'cluster', 'assess', 'final')
MERGED = {'decide_stop': 'assess'}


def cost_of(search: orm.WorkChainNode) -> dict[str, Any]:
    """Add up what a search cost; what a search that it takes up cost is not counted.

    :return: for JSON: ``stages``, each with ``stage``, ``core_seconds`` (as the jobs reported them; ``None`` for what
        runs in AiiDA itself), ``wall_seconds``, ``processes``, ``jobs`` and ``failed_jobs``; ``cycles``, the same by
        cycle and stage; ``total``; and ``takes_up``, the PK of the search that this one continues.
    :raises ValueError: if the process is no search.
    """
    check_search(search)
    links = search.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    jobs = jobs_below(link.node.pk for link in links)
    reports = reports_of(link.node.pk for link in links)
    seconds = seconds_of_all([link.node for link in links])
    counts, failed = Counter(job.root for job in jobs), Counter(job.root for job in jobs if job.phase == 'failed')
    rows = []
    for link in links:
        cycle, stage = _stage(link.link_label)
        rows.append(
            {
                'cycle': cycle,
                'stage': stage,
                'core_seconds': _core_seconds(link.node, reports),
                'wall_seconds': seconds[link.node.pk],
                'processes': 1,
                'jobs': counts[link.node.pk],
                'failed_jobs': failed[link.node.pk],
            }
        )
    earlier = predecessor(search)
    cycles = sorted({row['cycle'] for row in rows if row['cycle'] is not None})
    return {
        'search': search.pk,
        'takes_up': None if earlier is None else earlier.pk,
        'stages': _by_stage(rows),
        'cycles': [
            {'cycle': number, 'stages': _by_stage([row for row in rows if row['cycle'] == number])} for number in cycles
        ],
        'total': {**_sum(rows), 'wall_seconds': seconds_of(search)},
    }


def _stage(label: str) -> tuple[int | None, str]:
    if label.startswith(CYCLE):
        number, _, name = label.removeprefix(CYCLE).partition('_')
        return int(number), MERGED.get(name, name)
    return None, MERGED.get(label, label.split('_')[0])


def _core_seconds(node: orm.ProcessNode, reports: Mapping[int, Mapping[str, Any]]) -> float | None:
    if not isinstance(node, orm.WorkChainNode):
        return None
    return float(reports.get(node.pk, {}).get('core_seconds') or 0.0)


def _by_stage(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    present = {row['stage'] for row in rows}
    order = [stage for stage in STAGES if stage in present] + sorted(present - set(STAGES))
    return [{'stage': stage, **_sum(row for row in rows if row['stage'] == stage)} for stage in order]


def _sum(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    rows = list(rows)
    known = [row['core_seconds'] for row in rows if row['core_seconds'] is not None]
    names = ('wall_seconds', 'processes', 'jobs', 'failed_jobs')
    return {'core_seconds': sum(known) if known else None, **{name: sum(row[name] for row in rows) for name in names}}
