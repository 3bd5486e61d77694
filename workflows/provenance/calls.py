"""What a process called, one query a generation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

CALLS = (LinkType.CALL_WORK.value, LinkType.CALL_CALC.value)
ENDED = ('finished', 'excepted', 'killed')
OF_A_JOB = ['id', 'attributes.process_state', 'attributes.scheduler_state', 'attributes.exit_status']


@dataclass(frozen=True)
class Job:
    """A job of a computer.

    :param root: the process below which it was looked for.
    :param state: of the process in AiiDA: ``created``, ``waiting``, ``finished``, …
    :param scheduler: what the queue said last: ``queued``, ``running``, … or ``None``.
    :param exit_status: ``None`` until it has ended.
    """

    pk: int
    root: int
    state: str
    scheduler: str | None
    exit_status: int | None

    @property
    def phase(self) -> str:
        """What a user calls it: ``done``, ``failed``, ``running``, ``queued`` or the state in AiiDA."""
        if self.state in ENDED:
            return 'done' if self.state == 'finished' and self.exit_status == 0 else 'failed'
        return self.scheduler if self.scheduler in ('running', 'queued') else self.state


def among(pks: Iterable[int]) -> dict[str, list[int]]:
    """Return the filter for some PKs; AiiDA refuses one for none."""
    return {'in': list(pks) or [-1]}


def called(pk: int) -> dict[int, str]:
    """Return the processes that a work chain called, with the labels of the calls."""
    return {child: label for _, child, label, _ in calls_of([pk])}


def calls_of(pks: Iterable[int]) -> list[tuple[int, int, str, str]]:
    """Return caller, PK, label of the call and type of node of all that some work chains called, by ascending PK."""
    query = orm.QueryBuilder()
    query.append(orm.WorkflowNode, filters={'id': among(pks)}, tag='caller', project='id')
    query.append(
        orm.ProcessNode,
        with_incoming='caller',
        edge_filters={'type': {'in': CALLS}},
        project=['id', 'node_type'],
        edge_project='label',
    )
    rows = [(caller, pk, label, kind) for caller, pk, kind, label in query.all()]
    return sorted(rows, key=lambda row: row[1])


def reports_of(pks: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return the contents of the outputs ``report`` of work chains, as far as there are any."""
    query = orm.QueryBuilder()
    query.append(orm.WorkflowNode, filters={'id': among(pks)}, tag='owner', project='id')
    edge = {'type': LinkType.RETURN.value, 'label': 'report'}
    query.append(orm.Dict, with_incoming='owner', edge_filters=edge, project='attributes')
    return dict(query.all())


def jobs_below(roots: Iterable[int]) -> list[Job]:
    """Return all jobs below some processes, those among the processes themselves included, by ascending PK."""
    root_of = {pk: pk for pk in roots}
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': among(root_of)}, project=OF_A_JOB)
    jobs = [Job(pk, pk, *row) for pk, *row in query.all()]
    callers = list(root_of)
    while callers:
        query = orm.QueryBuilder()
        query.append(orm.WorkflowNode, filters={'id': {'in': callers}}, tag='caller', project='id')
        query.append(
            orm.ProcessNode,
            with_incoming='caller',
            edge_filters={'type': {'in': CALLS}},
            project=['node_type', *OF_A_JOB],
        )
        below = query.all()
        root_of |= {pk: root_of[caller] for caller, _, pk, *_ in below}
        jobs += [Job(pk, root_of[pk], *row) for _, kind, pk, *row in below if 'CalcJobNode' in kind]
        callers = [pk for _, kind, pk, *_ in below if kind.startswith('process.workflow.')]
    return sorted(jobs, key=lambda job: job.pk)
