"""Whether the computers where jobs run can be used."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from aiida import orm
from aiida.common import exceptions
from aiida.transports import Transport
from sqlalchemy.exc import SQLAlchemyError

from aiida_prospect.campaign.findings import Finding, Level, describe
from aiida_prospect.campaign.jobs import jobs_in_queue


class Unreachable(ConnectionError):
    """A computer with which no connection could be made, or with which it broke off."""


@contextmanager
def connection(computer: orm.Computer) -> Iterator[Transport]:
    """Connect to a computer.

    :raises Unreachable: if that fails, if the connection breaks off, or if something else goes wrong meanwhile.
    """
    try:
        with computer.get_transport() as transport:
            yield transport
    except SQLAlchemyError:
        # The database is away, not the computer.
        raise
    except Exception as exception:
        # Each transport plugin has errors of its own: those of its ssh library, of sockets, of the operating system.
        raise Unreachable(describe(exception)) from exception


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
    except Exception as exception:
        # As above: that of `asyncssh` for a missing permission, say, is no `OSError`.
        remedy = f'free some space or mend the permissions of {directory}; `verdi computer test {computer.label}`'
        return Finding(Level.ERROR, subject, f'{directory} cannot be written: {describe(exception)}', remedy)
    return Finding(Level.OK, subject, f'is reached by {computer.transport_type}, and {directory} can be written')


def check_scheduler(computer: orm.Computer, transport: Transport) -> Finding:
    """Ask the scheduler for its jobs."""
    subject = f'scheduler {computer.scheduler_type} of {computer.label}'
    try:
        jobs = jobs_in_queue(computer, transport)
    except SQLAlchemyError:
        raise
    except Exception as exception:
        # As above, and a scheduler plugin may stumble over an answer that it did not expect.
        remedy = f'see whether the scheduler is up; verdi computer test {computer.label}'
        return Finding(Level.ERROR, subject, f'does not answer: {describe(exception)}', remedy)
    return Finding(Level.OK, subject, f'answers, {len(jobs)} jobs in the queue')
