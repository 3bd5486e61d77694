"""Whether the computers where jobs run can be used."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from aiida import orm
from aiida.common import exceptions
from aiida.schedulers.datastructures import JobInfo
from aiida.transports import Transport

from aiida_prospect.campaign.findings import Finding, Level


class Unreachable(ConnectionError):
    """A computer with which no connection could be made, or with which it broke off."""


SLURM = 'core.slurm'


@contextmanager
def connection(computer: orm.Computer) -> Iterator[Transport]:
    """Connect to a computer.

    :raises Unreachable: if that fails, or if the connection breaks off.
    """
    transport = computer.get_transport()
    try:
        transport.open()
    except Exception as exception:
        # Each transport plugin has errors of its own: those of its ssh library, of sockets, of the operating system.
        raise Unreachable(f'{type(exception).__name__}: {exception}') from exception
    try:
        yield transport
    except (OSError, EOFError, exceptions.AiidaException) as exception:
        raise Unreachable(f'{type(exception).__name__}: {exception}') from exception
    finally:
        transport.close()


def check_computer(computer: orm.Computer) -> Iterator[Finding]:
    """Look at settings, connection, working directory and scheduler of a computer, up to the first that fails."""
    subject, user = f'computer {computer.label}', orm.User.collection.get_default()
    try:
        authinfo = computer.get_authinfo(user)
    except exceptions.NotExistent:
        remedy = f'verdi computer configure {computer.transport_type} {computer.label}'
        yield Finding(Level.ERROR, subject, f'is not configured for {user.email}', remedy)
        return
    if not authinfo.enabled:
        remedy = f'verdi computer enable {computer.label} {user.email}'
        yield Finding(Level.ERROR, subject, f'is disabled for {user.email}', remedy)
        return
    try:
        with connection(computer) as transport:
            yield check_work_directory(authinfo, transport)
            yield check_scheduler(computer, transport)
    except Unreachable as exception:
        message = f'cannot be reached by {computer.transport_type}: {exception}'
        yield Finding(Level.ERROR, subject, message, f'verdi computer test {computer.label}')


def check_work_directory(authinfo: orm.AuthInfo, transport: Transport) -> Finding:
    """Write a file where jobs run, and remove it."""
    computer = authinfo.computer
    subject = f'computer {computer.label}'
    directory = authinfo.get_workdir().format(username=transport.whoami())
    path = posixpath.join(directory, f'.prospect-{uuid4().hex}')
    try:
        transport.makedirs(directory, ignore_existing=True)
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder) / 'file'
            here.write_text('to see whether files can be written\n')
            transport.putfile(str(here), path)
        transport.remove(path)
    except OSError as exception:
        remedy = f'free some space or mend the permissions of {directory}; `verdi computer test {computer.label}`'
        return Finding(Level.ERROR, subject, f'{directory} cannot be written: {exception}', remedy)
    return Finding(Level.OK, subject, f'is reached by {computer.transport_type}, and {directory} can be written')


def jobs_in_queue(computer: orm.Computer, transport: Transport) -> dict[str, JobInfo]:
    """Return the jobs that are in the queue, by their identifiers."""
    scheduler = computer.get_scheduler()
    scheduler.set_transport(transport)
    return dict(scheduler.get_jobs(as_dict=True))


def jobs_in_accounts(computer: orm.Computer, transport: Transport, since: datetime) -> dict[str, str]:
    """Return the identifiers of jobs by their names, also of those that have left the queue; only SLURM tells.

    :param since: when the first of them was submitted.
    """
    if computer.scheduler_type != SLURM:
        return {}
    day = f'{since - timedelta(days=1):%Y-%m-%d}'
    command = f'sacct --noheader --parsable2 --allocations --starttime {day} --format JobIDRaw,JobName'
    status, told, _ = transport.exec_command_wait(command)
    rows = [line.partition('|') for line in told.splitlines()] if status == 0 else []
    return {name: identifier for identifier, _, name in rows}


def check_scheduler(computer: orm.Computer, transport: Transport) -> Finding:
    """Ask the scheduler for its jobs."""
    subject = f'scheduler {computer.scheduler_type} of {computer.label}'
    try:
        jobs = jobs_in_queue(computer, transport)
    except exceptions.AiidaException as exception:
        words = ' '.join(str(exception).split())
        remedy = f'see whether the scheduler is up; verdi computer test {computer.label}'
        return Finding(Level.ERROR, subject, f'does not answer: {words}', remedy)
    return Finding(Level.OK, subject, f'answers, {len(jobs)} jobs in the queue')
