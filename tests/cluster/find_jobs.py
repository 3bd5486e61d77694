"""Ask SLURM for jobs of AiiDA while they run and after they have ended; print what it answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiida import load_profile, orm
from aiida.schedulers import SchedulerError
from slow_label import submit_label

from aiida_prospect.campaign.jobs import find_submitted
from aiida_prospect.campaign.machines import connection

CLUSTER_SCRIPT = Path(__file__).parents[2] / 'deploy' / 'test-cluster.sh'
TIMEOUT = 240


def wait_for(condition: Callable[[], Any], words: str) -> Any:
    """Return what a condition gives as soon as it gives something.

    :raises TimeoutError: if it never does.
    """
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(words)
        time.sleep(0.3)
    return found


def run(*command: str | Path) -> str:
    """Return what a command says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def job_of(node: orm.WorkChainNode) -> orm.CalcJobNode | None:
    """Return the job of a labelling when it is in the hands of SLURM."""
    return next((job for job in node.called if isinstance(job, orm.CalcJobNode) and job.get_job_id()), None)


def submit_namesake(job: orm.CalcJobNode, folder: Path) -> str:
    """Submit a job of the same name and owner from another folder, as another profile does."""
    name = ('--job-name', f'aiida-{job.pk}')
    return run('sbatch', '--parsable', *name, '--chdir', folder, '--output', '/dev/null', '--wrap', 'sleep 600')


def state_of(identifier: str) -> str:
    """Return the state of a job in the queue, nothing when it has left it."""
    return run('squeue', '--noheader', '--format', '%T', '--jobs', identifier)


def find(job: orm.CalcJobNode) -> str | None:
    """Return what SLURM calls a job, found as `watch` finds it, without its identifier, or why it cannot be asked."""
    with connection(job.computer) as transport:
        try:
            return find_submitted(job.computer, transport, [job]).get(job)
        except SchedulerError as error:
            return str(error)


def main() -> None:
    """Ask at each stage of the life of a job, and while the accounts are away."""
    load_profile()
    node = submit_label(20)
    job = wait_for(lambda: job_of(node), 'no job was submitted')
    identifier, told = job.get_job_id(), {}
    namesake = submit_namesake(job, Path(sys.argv[1]))
    try:
        wait_for(lambda: state_of(identifier) == 'RUNNING' and state_of(namesake), 'the job was not seen while it ran')
        told['running'] = find(job)
        wait_for(lambda: node.is_terminated, 'the labelling did not end')
        wait_for(lambda: identifier not in run('squeue', '--noheader', '--format', '%i').split(), 'it stays queued')
        told['ended'] = find(job)
        run('bash', CLUSTER_SCRIPT, 'stop', 'slurmdbd')
        try:
            told['ended, accounts away'] = find(job)
        finally:
            run('bash', CLUSTER_SCRIPT, 'start', 'slurmdbd')
    finally:
        run('scancel', namesake)
    print(json.dumps({'exit_status': node.exit_status, 'identifier': identifier, 'namesake': namesake, 'told': told}))


if __name__ == '__main__':
    main()
