"""What a job and its scheduler said, in whatever encoding the shell of the computer has."""

from __future__ import annotations

import re

from aiida.common import exceptions
from aiida.engine import CalcJob, ExitCode
from aiida.orm import CalcJobNode, FolderData

CODES = CalcJob.exit_codes
# What SLURM writes to the error stream of a job that it ends, between the names of the step and of the node.
SAID_BY_SLURM = {
    r'Detected \d+ oom[-_]kill event': CODES.ERROR_SCHEDULER_OUT_OF_MEMORY,
    r'[Ee]xceeded (job |step )?memory limit': CODES.ERROR_SCHEDULER_OUT_OF_MEMORY,
    r'CANCELLED AT .* DUE TO TIME LIMIT': CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    r'CANCELLED AT .* DUE TO NODE FAILURE': CODES.ERROR_SCHEDULER_NODE_FAILURE,
}


def read_stream(retrieved: FolderData | None, name: str | None) -> str | None:
    """Return a text that a job wrote; what is no UTF-8 is replaced.

    :return: ``None`` if there is no such file.
    """
    if retrieved is None or name is None or name not in retrieved.base.repository.list_object_names():
        return None
    return retrieved.base.repository.get_object_content(name, 'rb').decode(errors='replace')


def verdict_of_scheduler(job: CalcJobNode, retrieved: FolderData | None) -> ExitCode | None:
    """Return what the scheduler says of the end of a job; ``None`` if nothing that is known.

    Where the accounts of SLURM could not be read when the job ended, its error stream tells.
    """
    if job.computer is None:
        return None
    details = job.get_detailed_job_info()
    if details is not None and details.get('retval', 0) != 0:
        details = None
    streams = (job.get_option(f'scheduler_{name}') for name in ('stdout', 'stderr'))
    stdout, stderr = (read_stream(retrieved, name) or '' for name in streams)
    try:
        verdict = job.computer.get_scheduler().parse_output(details, stdout, stderr)
    except (exceptions.FeatureNotAvailable, TypeError, ValueError, KeyError):
        verdict = None
    return verdict or _said_by_slurm(stderr)


def _said_by_slurm(stderr: str) -> ExitCode | None:
    """Return the verdict in the lines of SLURM, wherever they stand; AiiDA knows some of them, in the first line."""
    said = [line for line in stderr.splitlines() if re.match(r'slurmstepd\S*: error:', line)]
    return next((code for words, code in SAID_BY_SLURM.items() if any(re.search(words, line) for line in said)), None)
