"""What runs of programs took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiida import orm


@dataclass(frozen=True)
class RunCost:
    """What one run of a program did and took, as far as it says.

    :param energies: how many it computed.
    :param wall_seconds: ``None`` if it was cut short before it could tell.
    """

    energies: int = 0
    wall_seconds: float | None = None
    memory_mb: float | None = None


def core_seconds(run: orm.CalcJobNode, cost: RunCost) -> float:
    """Return wall time by number of processes; nothing if the result came from the cache.

    Of a run that was cut short the scheduler may know how long it lasted.
    """
    if is_from_cache(run):
        return 0.0
    seconds = cost.wall_seconds
    if seconds is None:
        job = run.get_last_job_info() or {}
        seconds = job.get('wallclock_time_seconds') or 0.0
    return float(seconds) * count_processes(run.get_option('resources') or {})


def is_from_cache(process: orm.ProcessNode) -> bool:
    """Tell whether a job, or one of a work chain, was taken from the cache; those that others continue never are."""
    jobs = [process] if isinstance(process, orm.CalcJobNode) else process.called
    return any(job.base.caching.is_created_from_cache for job in jobs)


def count_processes(resources: Mapping[str, int]) -> int:
    """Return the number of processes that resources are asked for."""
    per_machine = resources.get('num_mpiprocs_per_machine') or 1
    return int(resources.get('tot_num_mpiprocs') or resources.get('num_machines', 1) * per_machine)
