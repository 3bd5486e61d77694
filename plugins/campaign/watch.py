"""Searches go on after outages: of computers, of the database, of the message broker."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common import exceptions, timezone
from aiida.common.datastructures import CalcJobState
from aiida.engine.daemon.client import DaemonException
from aiida.manage import get_config_option, get_manager
from kiwipy import CommunicatorClosed, DeliveryFailed, RemoteException
from plumpy.futures import unwrap_kiwi_future
from plumpy.process_states import ProcessState
from sqlalchemy.exc import SQLAlchemyError

from aiida_prospect.campaign.findings import Level
from aiida_prospect.campaign.jobs import find_submitted, kill_jobs
from aiida_prospect.campaign.machines import Unreachable, check_computer, connection
from aiida_prospect.campaign.stranded import (
    OURS,
    PATIENCE,
    announce,
    find_half_created,
    find_stranded,
    forget_silence,
    is_in_foreground,
    remedy_for_half_created,
    root_of,
    silent_for,
)
from aiida_prospect.workflows.delivery import broker_answers

# AiiDA's words, see `aiida.engine.processes.calcjobs.tasks`. What a user pauses has others, and stays paused.
PAUSED_BY_AIIDA = 'Pausing after failed transport task'
UNFINISHED = tuple(state.value for state in (ProcessState.CREATED, ProcessState.RUNNING, ProcessState.WAITING))
# What AiiDA calls a job that it knows to have left the queue.
LEFT_QUEUE = (CalcJobState.STASHING, CalcJobState.RETRIEVING, CalcJobState.PARSING)
# Where the attempts of a process are kept, so that a watch that is started again waits as long as the one before.
EXTRA = 'prospect_watch'
LONGEST_WAIT = timedelta(hours=1)
# After so long without an outage the next one is a new one.
FORGOTTEN = timedelta(days=1)
SECONDS_TO_ANSWER = 30.0
# What is raised when a message does not arrive; a `RuntimeError` by the communicator of ZeroMQ.
UNDELIVERED = (DeliveryFailed, CommunicatorClosed, RemoteException, ConnectionError, FutureTimeoutError, RuntimeError)
# What is raised when broker or database are down, and by a session that was in use when the database went.
OUTAGES = (CommunicatorClosed, exceptions.UnreachableStorage, ConnectionError, SQLAlchemyError)


class CannotWatch(ValueError):
    """The profile does not allow it."""


@dataclass
class Round:
    """What one look at all processes came to, by PK."""

    played: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    revived: list[int] = field(default_factory=list)


class Watcher:
    """Looks after searches.

    :param searches: whose processes are looked after; empty for all of this package.
    :param wait: before a process is played for a second time if it was paused again, doubled each time.
    :param patience: how long a process must be known to no worker and to no queue before it is handed over again.
    :param memory: for how long it counts what an earlier look found, at least; twice ``wait`` if that is longer.
    :param outage: a file that is there from an outage until workers are started: there may be a watch for each look.
    :param start_daemon: whether a daemon that does not run is started.
    :raises CannotWatch: if the profile has no broker.
    """

    def __init__(
        self,
        searches: Sequence[orm.ProcessNode],
        *,
        wait: timedelta,
        patience: timedelta = PATIENCE,
        memory: timedelta = timedelta(0),
        outage: Path,
        start_daemon: bool,
        logger: logging.Logger,
    ) -> None:
        if get_manager().get_broker() is None:
            raise CannotWatch(
                'the profile has no broker, so processes cannot be told to go on: see `verdi profile show`'
            )
        self.pks = [search.pk for search in searches]
        self.wait = wait
        self.patience = patience
        self.memory = max(memory, 2 * wait)
        self.outage = outage
        self.start_daemon = start_daemon
        self.logger = logger
        # Half-created processes that were named already.
        self.named: set[int] = set()

    def look(self) -> Round:
        """Play what can be played.

        :raises ConnectionError: if the broker does not answer.
        """
        result = Round()
        runs = self.check_daemon()
        # That of the quick start comes and goes with the daemon.
        if runs and not broker_answers():
            raise ConnectionError('the message broker does not answer')
        self.end_orphans()
        self.name_half_created()
        if not runs:
            return result
        self.renew_workers()
        result.revived = self.revive()
        for jobs in by_computer(self.paused_jobs()):
            due = [job for job in jobs if due_at(job, self.wait) <= timezone.now()]
            result.waiting += [job.pk for job in jobs if job not in due]
            if not due:
                continue
            if self.answers(due[0].computer) and self.adopt(due):
                for job in due:
                    (result.played if self.play(job) else result.failed).append(job.pk)
            else:
                result.waiting += [job.pk for job in due]
        return result

    def all_ended(self) -> bool:
        """Tell whether there is nothing left to watch, ever."""
        return bool(self.pks) and all(orm.load_node(pk).is_terminated for pk in self.pks)

    def note_outage(self) -> None:
        """Take note that database or broker are away."""
        self.outage.touch()

    def check_daemon(self) -> bool:
        """Tell whether the daemon runs; start it if asked to."""
        client = get_manager().get_daemon_client()
        if client.is_daemon_running:
            return True
        forget_silence()
        if not self.start_daemon:
            self.logger.warning('the daemon does not run: `verdi daemon start`, or `aiida-prospect watch --daemon`')
            return False
        try:
            client.start_daemon(get_config_option('daemon.default_workers'))
        except DaemonException as exception:
            self.logger.error('the daemon could not be started: %s', exception)
            return False
        # A broker that is a child of the daemon is a new one.
        get_manager().reset_broker()
        self.outage.unlink(missing_ok=True)
        self.logger.warning('the daemon did not run and was started')
        return True

    def renew_workers(self) -> None:
        """Restart the workers after an outage: they may keep broken connections, with which all that they do fails."""
        if not self.outage.exists():
            return
        try:
            get_manager().get_daemon_client().restart_daemon()
        except DaemonException as exception:
            self.logger.error('the workers of the daemon could not be restarted: %s', exception)
            return
        self.outage.unlink(missing_ok=True)
        self.logger.warning('after an outage the workers of the daemon were restarted')

    def revive(self) -> list[int]:
        """Announce again what no worker has and none will be given."""
        filters = {'attributes.process_state': {'in': UNFINISHED}}
        query = orm.QueryBuilder().append((orm.WorkChainNode, orm.CalcJobNode), filters=filters)
        processes = {node.pk: node for node in query.all(flat=True) if self.is_watched(node)}
        silent = find_stranded(processes)
        forget_silence(set(processes) - silent)
        memory = max(self.memory, 2 * self.patience)
        stranded = {pk for pk in silent if silent_for(processes[pk], memory) >= self.patience}
        orphans = {pk for pk in stranded if (caller := processes[pk].caller) is not None and caller.is_terminated}
        self.end_lost([processes[pk] for pk in sorted(orphans)])
        lost = {pk: processes[pk] for pk in sorted(stranded - orphans)}
        for jobs in by_computer(node for node in lost.values() if isinstance(node, orm.CalcJobNode)):
            if not self.adopt(jobs):
                # Whether they run cannot be known now.
                lost = {pk: node for pk, node in lost.items() if node not in jobs}
        for pk, process in lost.items():
            announce(pk)
            forget_silence([pk])
            self.note(process, logging.WARNING, 'no worker knew of it; it was handed to the daemon again')
        return list(lost)

    def paused_jobs(self) -> Iterator[orm.CalcJobNode]:
        """Yield the jobs that AiiDA paused, below the searches or below any process of this package."""
        filters = {
            'attributes.paused': True,
            'attributes.process_state': {'in': UNFINISHED},
            'attributes.process_status': {'like': f'{PAUSED_BY_AIIDA}%'},
        }
        for job in orm.QueryBuilder().append(orm.CalcJobNode, filters=filters).all(flat=True):
            if self.is_watched(job):
                yield job

    def is_watched(self, node: orm.ProcessNode) -> bool:
        """Tell whether a process is below the searches, or below any process of this package."""
        if is_in_foreground(node):
            return False
        root = root_of(node)
        return root.pk in self.pks if self.pks else str(root.process_type).startswith(OURS)

    def end_orphans(self) -> None:
        """Mark calculation functions as killed that died with their worker.

        The work chain that called them has run them again and has ended; AiiDA would call them running for ever.
        """
        filters = {'attributes.process_state': {'in': UNFINISHED}}
        for function in orm.QueryBuilder().append(orm.CalcFunctionNode, filters=filters).all(flat=True):
            if function.caller is not None and function.caller.is_terminated and self.is_watched(function):
                self._end(function, 'died with its worker, its caller has run it again')

    def name_half_created(self) -> None:
        """Say once of processes that never came into being what they are, and how to be rid of them."""
        found = [node for node in find_half_created() if node.pk not in self.named]
        found = [node for node in found if not self.pks or root_of(node).pk in self.pks]
        for node in found:
            remedy = remedy_for_half_created([node])
            message = 'never came into being and does no harm: the database was away; to remove it'
            self.logger.warning('%s<%s> %s: `%s`', node.process_label, node.pk, message, remedy)
        self.named |= {node.pk for node in found}

    def end_lost(self, orphans: Sequence[orm.ProcessNode]) -> None:
        """Mark as killed what no worker has and nobody waits for; jobs when they have ended on their computer."""
        ended = [node for node in orphans if not isinstance(node, orm.CalcJobNode)]
        for jobs in by_computer(node for node in orphans if isinstance(node, orm.CalcJobNode)):
            # Whether a job without identifier runs cannot be known if the scheduler cannot be asked.
            ended += self.kill(jobs if self.adopt(jobs) else [job for job in jobs if job.get_job_id()])
        for node in ended:
            self._end(node, 'no worker knew of it, and nobody waits for it any more')

    def kill(self, jobs: Sequence[orm.CalcJobNode]) -> list[orm.CalcJobNode]:
        """End jobs of one computer and return those that do not run; the others are left alone until the next look."""
        running = [job for job in jobs if job.get_job_id() and job.get_state() not in LEFT_QUEUE]
        causes: dict[orm.CalcJobNode, str] = {}
        if running:
            try:
                with connection(running[0].computer) as transport:
                    causes = kill_jobs(running, transport)
            except Unreachable as exception:
                causes = dict.fromkeys(running, str(exception))
        for job, cause in causes.items():
            what = f'job {job.get_job_id()} on {job.computer.label} could not be ended and may still run'
            self.logger.warning('%s<%s>: %s: %s', job.process_label, job.pk, what, cause)
        return [job for job in jobs if job not in causes]

    def _end(self, process: orm.ProcessNode, reason: str) -> None:
        process.set_process_state(ProcessState.KILLED)
        process.set_process_status(reason)
        process.seal()
        self.note(process, logging.INFO, reason)

    def answers(self, computer: orm.Computer) -> bool:
        """Tell whether a computer can be used again."""
        bad = [finding for finding in check_computer(computer) if finding.level is Level.ERROR]
        for finding in bad:
            self.logger.warning('%s: %s', finding.subject, finding.message)
        return not bad

    def adopt(self, jobs: Sequence[orm.CalcJobNode]) -> bool:
        """Give jobs back what the scheduler calls them, if they were submitted and only its answer was lost.

        Otherwise AiiDA would submit them a second time. Jobs that have left the queue are found by the accounting of
        SLURM; elsewhere they cannot be told from those that were never in it.

        :param jobs: of one computer.
        :return: whether the computer could be asked.
        """
        missing = [job for job in jobs if not job.get_job_id() and job.get_remote_workdir()]
        if not missing:
            return True
        computer = missing[0].computer
        try:
            with connection(computer) as transport:
                found = find_submitted(computer, transport, missing)
        except Unreachable as exception:
            self.logger.warning('computer %s: %s', computer.label, exception)
            return False
        for job, identifier in found.items():
            job.set_job_id(identifier)
            self.note(job, logging.INFO, f'was submitted after all, as {identifier}')
        return True

    def play(self, job: orm.CalcJobNode) -> bool:
        """Let a job go on, and write down on its node that it was played."""
        reason = job.process_status
        try:
            future = unwrap_kiwi_future(get_manager().get_process_controller().play_process(job.pk))
            done = future.result(timeout=SECONDS_TO_ANSWER)
        except UNDELIVERED as exception:
            message = (
                f'no worker answers for it ({type(exception).__name__} {exception}): it may take some time after a '
            )
            self.note(job, logging.WARNING, f'{message}start of the daemon; if it lasts, `verdi process repair`')
            return False
        if not done:
            self.note(job, logging.WARNING, 'it refused to go on')
            return False
        attempts = attempts_of(job) + 1
        job.base.extras.set(EXTRA, {'attempts': attempts, 'last': timezone.now().isoformat()})
        self.note(job, logging.INFO, f'played again (attempt {attempts}) after: {reason}')
        return True

    def note(self, job: orm.ProcessNode, level: int, message: str) -> None:
        """Write to the log, and to the node of a process, where `verdi process report` shows it."""
        where = f' on {job.computer.label}' if job.computer else ''
        self.logger.log(level, '%s<%s>%s: %s', job.process_label, job.pk, where, message)
        orm.Log(
            time=timezone.now(),
            loggername=self.logger.name,
            levelname=logging.getLevelName(level),
            dbnode_id=job.pk,
            message=f'aiida-prospect watch: {message}',
        )


def by_computer(jobs: Iterable[orm.CalcJobNode]) -> list[list[orm.CalcJobNode]]:
    """Return jobs in groups, one for each computer."""
    groups: dict[int, list[orm.CalcJobNode]] = defaultdict(list)
    for job in jobs:
        groups[job.computer.pk].append(job)
    return list(groups.values())


def attempts_of(job: orm.ProcessNode) -> int:
    """Return how often a job was played in this outage."""
    noted: dict[str, Any] = job.base.extras.get(EXTRA, {})
    if not noted or timezone.now() - datetime.fromisoformat(noted['last']) > FORGOTTEN:
        return 0
    return int(noted['attempts'])


def due_at(job: orm.ProcessNode, wait: timedelta) -> datetime:
    """Return when a job may be played: at once for the first time, then after longer and longer waits."""
    attempts = attempts_of(job)
    if not attempts:
        return timezone.now()
    doublings = min(attempts - 1, 20)
    return datetime.fromisoformat(job.base.extras.get(EXTRA)['last']) + min(wait * 2**doublings, LONGEST_WAIT)
