"""What the scheduler of a computer knows of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote

from aiida import orm
from aiida.common import exceptions
from aiida.engine.daemon.execmanager import kill_calculation
from aiida.schedulers import SchedulerError
from aiida.schedulers.datastructures import JobInfo
from aiida.transports import Transport

from aiida_prospect.campaign.direct import DIRECT, end_process
from aiida_prospect.campaign.findings import describe
from aiida_prospect.campaign.folders import lies_in

SLURM = 'core.slurm'
# How `sacct` ends where there are no accounts, in the words of SLURM or of a shell that has no such command; all other
# failures may pass, as when the database of the accounts is down.
NO_ACCOUNTS = 'accounting storage is disabled'
NO_COMMAND = 127


@dataclass(frozen=True)
class Entry:
    """A job as the scheduler lists it; what the scheduler does not tell is empty."""

    identifier: str
    owner: str
    title: str
    directory: str = ''

    def is_of(self, job: orm.CalcJobNode, user: str) -> bool:
        """Tell whether this is a job of ours: titles alone repeat between profiles and users.

        :param user: our name on the computer.
        """
        is_there = not self.directory or lies_in(self.directory, job)
        return self.title == f'aiida-{job.pk}' and self.owner in ('', user) and is_there


def find_submitted(
    computer: orm.Computer, transport: Transport, jobs: Sequence[orm.CalcJobNode]
) -> dict[orm.CalcJobNode, str]:
    """Return the identifiers of jobs that were submitted; those that have left the queue only SLURM tells.

    :param jobs: with work directories; what has none was not submitted. If all are in the queue nothing else is asked.
    """
    user = transport.whoami()
    found: dict[orm.CalcJobNode, str] = {}
    for entry in _entries(computer, transport, user, min(job.ctime for job in jobs)):
        found.update({job: entry.identifier for job in jobs if job not in found and entry.is_of(job, user)})
        if len(found) == len(jobs):
            break
    return found


def kill_jobs(jobs: Sequence[orm.CalcJobNode], transport: Transport) -> dict[orm.CalcJobNode, str]:
    """End jobs on their computer, and return why those may still run that the scheduler did not end."""
    causes = {}
    for job in jobs:
        try:
            if job.computer.scheduler_type == DIRECT:
                end_process(job, transport)
            else:
                kill_calculation(job, transport)
        except exceptions.AiidaException as exception:
            causes[job] = describe(exception)
    return causes


def jobs_in_queue(computer: orm.Computer, transport: Transport) -> dict[str, JobInfo]:
    """Return the jobs that are in the queue, by their identifiers."""
    scheduler = computer.get_scheduler()
    scheduler.set_transport(transport)
    return dict(scheduler.get_jobs(as_dict=True))


def _entries(computer: orm.Computer, transport: Transport, user: str, since: datetime) -> Iterator[Entry]:
    if computer.scheduler_type == SLURM:
        yield from _slurm_entries(transport, user, since)
        return
    for identifier, job in jobs_in_queue(computer, transport).items():
        yield Entry(identifier, job.job_owner or '', job.title or '')


def _slurm_entries(transport: Transport, user: str, since: datetime) -> Iterator[Entry]:
    """Yield jobs from the queue and from the accounts, with their directories, for which AiiDA does not ask.

    :raises SchedulerError: if one of them cannot be read now: what it holds might be what is looked for.
    """
    queue = f"squeue --noheader --user {quote(user)} --format '%i|%u|%j|%Z'"
    yield from _read_entries(_answer_of(transport, queue))
    day = f'{since - timedelta(days=1):%Y-%m-%d}'
    accounts = f'sacct --noheader --parsable2 --allocations --user {quote(user)} --starttime {day}'
    yield from _read_entries(_answer_of(transport, f'{accounts} --format JobIDRaw,User,JobName,WorkDir'))


def _answer_of(transport: Transport, command: str) -> str:
    """Return what SLURM answers, nothing of accounts that it does not keep."""
    status, told, errors = transport.exec_command_wait(command)
    name = command.split()[0]
    if name == 'sacct' and (status == NO_COMMAND or NO_ACCOUNTS in errors.lower()):
        return ''
    if status:
        raise SchedulerError(f'`{name}` ended with status {status}: {" ".join(errors.split())}')
    return str(told)


def _read_entries(told: str) -> Iterator[Entry]:
    for line in told.splitlines():
        fields = line.strip().split('|', 3)
        if len(fields) == len(Entry.__annotations__):
            yield Entry(*fields)
