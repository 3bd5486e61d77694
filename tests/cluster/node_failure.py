"""Label a crystal through the daemon while the node that runs the job fails; print what became of it."""

from __future__ import annotations

import json
import subprocess
import time

from aiida import load_profile, orm
from slow_label import submit_label

TIMEOUT = 300


def slurm(*command: str) -> str:
    """Return what a command of SLURM says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def jobs_of(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    """Return the jobs in their order."""
    return sorted((job for job in node.called if isinstance(job, orm.CalcJobNode)), key=lambda job: job.pk)


def wait_for_node(node: orm.WorkChainNode, deadline: float) -> str:
    """Return the name of the machine that runs the first job.

    :raises TimeoutError: if none does.
    """
    while time.monotonic() < deadline:
        for job in jobs_of(node):
            if job.get_job_id():
                told = slurm('squeue', '-h', '-j', job.get_job_id(), '-o', '%T %N').split()
                if told and told[0] == 'RUNNING':
                    return told[1]
        time.sleep(0.2)
    raise TimeoutError('no job was seen while it ran')


def main() -> None:
    """Let the node of the first job fail."""
    load_profile()
    node = submit_label(8)
    deadline = time.monotonic() + TIMEOUT
    machine = wait_for_node(node, deadline)
    slurm('scontrol', 'update', f'NodeName={machine}', 'State=DOWN', 'Reason=test')
    try:
        while not node.is_terminated and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        # It may have come back by itself.
        if 'down' in slurm('sinfo', '-h', '-n', machine, '-o', '%T'):
            slurm('scontrol', 'update', f'NodeName={machine}', 'State=RESUME')
    told = {
        'exit_status': node.exit_status,
        'status': node.outputs.labels.frames.status.tolist(),
        'jobs': [job.exit_status for job in jobs_of(node)],
        'machine': machine,
        'machines': [job.get_detailed_job_info().get('stdout', '') for job in jobs_of(node)],
    }
    print(json.dumps(told))


if __name__ == '__main__':
    main()
