"""The folders in which jobs run."""

from __future__ import annotations

from pathlib import PurePosixPath

from aiida import orm

# The last parts of a work directory are the UUID of its job.
PARTS_OF_UUID = 3


def lies_in(path: str, job: orm.CalcJobNode) -> bool:
    """Tell whether a path is the work directory of a job, or lies in it.

    Of the upper part nothing is asked: schedulers and the kernel resolve links in it, AiiDA does not.
    """
    folder = PurePosixPath(job.get_remote_workdir() or '').parts[-PARTS_OF_UUID:]
    parts = PurePosixPath(path).parts
    places = range(len(parts) - PARTS_OF_UUID + 1)
    return len(folder) == PARTS_OF_UUID and any(parts[i : i + PARTS_OF_UUID] == folder for i in places)
