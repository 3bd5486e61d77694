"""The search that is being disturbed, as it is seen from outside while database and broker come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from aiida import orm
from aiida.manage import get_manager
from installation import command
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from aiida_prospect.campaign.watch import OUTAGES

T = TypeVar('T')
# Stages of the search as it calls them, and what runs in them.
STAGES = {
    'cycle_00_label': 'label',
    'cycle_00_train': 'train',
    'cycle_00_explore': 'relax',
    'cycle_01_label': 'label',
    'cycle_01_train': 'train',
    'cycle_01_explore': 'relax',
    'final_label': 'relax',
}


class Missed(RuntimeError):
    """There was nothing to hit."""


@dataclass(frozen=True)
class Job:
    """A job that runs."""

    pk: int
    identifier: str
    folder: Path


def ask(question: Callable[[], T], timeout: float = 120) -> T:
    """Return an answer of the database, also when it is down for a while."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return question()
        except (DBAPIError, SQLAlchemyError, *OUTAGES):
            if time.monotonic() > deadline:
                raise
            get_manager().reset_profile_storage()
            time.sleep(1)


def stage_of(node: orm.ProcessNode, search: int) -> str:
    """Return the name of the stage to which a process below the search belongs."""
    while node.caller is not None and node.caller.pk != search:
        node = node.caller
    incoming = node.base.links.get_incoming(orm.ProcessNode).all()
    return str(incoming[0].link_label) if incoming else ''


@dataclass
class Scene:
    """A search in one of its stages.

    :param rng: makes the moment and the victim.
    """

    search: int
    stage: str
    rng: np.random.Generator

    def wait_for_stage(self, timeout: float = 900) -> None:
        """Return as soon as the stage has begun.

        :raises Missed: if the search ends before.
        """
        deadline = time.monotonic() + timeout
        while not ask(self._stage_node):
            if ask(lambda: orm.load_node(self.search).is_terminated) or time.monotonic() > deadline:
                raise Missed(f'the search has not come to {self.stage}')
            time.sleep(0.5)

    def wait_for_job(self, timeout: float = 300) -> Job:
        """Return a job of the stage as soon as SLURM runs it.

        :raises Missed: if the stage ends before.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for pk, identifier, folder in ask(lambda: list(self._submitted_jobs())):
                if command('squeue', '-h', '-j', identifier, '-o', '%T', check=False).strip() == 'RUNNING':
                    return Job(pk, identifier, Path(folder))
            node = ask(self._stage_node)
            if node is not None and ask(lambda node=node: orm.load_node(node).is_terminated):
                break
            time.sleep(0.2)
        raise Missed(f'no job of {self.stage} was seen while it ran')

    def _stage_node(self) -> int | None:
        links = orm.load_node(self.search).base.links.get_outgoing(orm.ProcessNode, link_label_filter=self.stage).all()
        return links[0].node.pk if links else None

    def _submitted_jobs(self) -> Iterator[tuple[int, str, str]]:
        filters = {'id': {'>': self.search}, 'attributes.process_state': {'in': ['created', 'running', 'waiting']}}
        for job in orm.QueryBuilder().append(orm.CalcJobNode, filters=filters).all(flat=True):
            if job.get_job_id() and job.get_remote_workdir() and stage_of(job, self.search) == self.stage:
                yield job.pk, job.get_job_id(), job.get_remote_workdir()
