"""What a job and its scheduler said, in whatever encoding the shell of the computer has."""

from __future__ import annotations

from aiida.common import exceptions
from aiida.engine import ExitCode
from aiida.orm import CalcJobNode, FolderData


def read_stream(retrieved: FolderData | None, name: str | None) -> str | None:
    """Return a text that a job wrote; what is no UTF-8 is replaced.

    :return: ``None`` if there is no such file.
    """
    if retrieved is None or name is None or name not in retrieved.base.repository.list_object_names():
        return None
    return retrieved.base.repository.get_object_content(name, 'rb').decode(errors='replace')


def verdict_of_scheduler(job: CalcJobNode, retrieved: FolderData | None) -> ExitCode | None:
    """Return what the scheduler says of the end of a job; ``None`` if nothing that its plugin knows."""
    if job.computer is None:
        return None
    details = job.get_detailed_job_info()
    if details is not None and details.get('retval', 0) != 0:
        details = None
    streams = (read_stream(retrieved, job.get_option(f'scheduler_{name}')) or '' for name in ('stdout', 'stderr'))
    try:
        return job.computer.get_scheduler().parse_output(details, *streams)
    except (exceptions.FeatureNotAvailable, TypeError, ValueError, KeyError):
        return None
