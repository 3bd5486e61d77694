"""Jobs on computers without a queue, where the number of a process is all that AiiDA knows of a job."""

from __future__ import annotations

from collections import defaultdict

from aiida import orm
from aiida.schedulers import SchedulerError
from aiida.transports import Transport

from aiida_prospect.campaign.folders import lies_in

DIRECT = 'core.direct'
# What the kernel adds to the path of what was removed.
REMOVED = ' (deleted)'


def end_process(job: orm.CalcJobNode, transport: Transport) -> None:
    """End the process of a job and all that it started, on the computer where it runs; nothing if it has ended.

    AiiDA ends whatever has the number now, and looks for its children on this machine.

    :raises SchedulerError: if that cannot be done.
    """
    if not is_running(job, transport):
        return
    family = ' '.join(map(str, _family(int(job.get_job_id()), transport)))
    status, _, errors = transport.exec_command_wait(f'kill {family}')
    # One of them may have ended meanwhile.
    if status and is_running(job, transport):
        raise SchedulerError(f'`kill {family}` ended with status {status}: {" ".join(errors.split())}')


def is_running(job: orm.CalcJobNode, transport: Transport) -> bool:
    """Tell whether the process with the number of a job is that job: numbers are given again.

    The shell of a job is in the job's folder, and wherever it goes it holds its script and streams there open.

    :raises SchedulerError: if the computer does not tell.
    """
    process = f'/proc/{int(job.get_job_id())}'
    links = f'{{ readlink {process}/cwd {process}/fd/* 2>/dev/null; true; }}'
    status, told, _ = transport.exec_command_wait(f'test -e /proc/self/cwd && {links}')
    if status:
        raise SchedulerError(f'there is no /proc to tell whether process {job.get_job_id()} is still that of the job')
    return any(lies_in(path.removesuffix(REMOVED), job) for path in told.splitlines())


def _family(number: int, transport: Transport) -> list[int]:
    """Return a process and all that descend from it."""
    status, told, errors = transport.exec_command_wait('ps -A -o pid= -o ppid=')
    if status:
        raise SchedulerError(f'`ps` ended with status {status}: {" ".join(errors.split())}')
    children = defaultdict(list)
    for line in told.splitlines():
        process, parent = map(int, line.split())
        children[parent].append(process)
    family = [number]
    for member in family:
        family += children[member]
    return family
