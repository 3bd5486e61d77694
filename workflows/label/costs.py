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
    """Return wall time by number of cores; nothing if the result came from the cache.

    Of a run that was cut short the scheduler may know how long it lasted.
    """
    if is_from_cache(run):
        return 0.0
    seconds = wall_seconds_by_scheduler(run) if cost.wall_seconds is None else cost.wall_seconds
    return float(seconds) * count_cores(run.get_option('resources') or {}, run.computer)


def core_seconds_untold(process: orm.ProcessNode) -> float:
    """Return what a job, or those of a work chain, took that were cut short before they could write statistics."""
    jobs = [process] if isinstance(process, orm.CalcJobNode) else process.called
    return sum(core_seconds(job, RunCost()) for job in jobs if 'statistics' not in job.outputs)


def wall_seconds_by_scheduler(run: orm.CalcJobNode) -> float:
    """Return how long a job lasted by the accounts of SLURM, or else when it was last seen in the queue; 0 if never."""
    lines = ((run.get_detailed_job_info() or {}).get('stdout') or '').splitlines()
    accounts = dict(zip(*(line.split('|') for line in lines[:2]), strict=False)) if len(lines) > 1 else {}
    elapsed = accounts.get('ElapsedRaw', '')
    queue = run.get_last_job_info() or {}
    return float(elapsed if elapsed.isdigit() else queue.get('wallclock_time_seconds') or 0.0)


def is_from_cache(process: orm.ProcessNode) -> bool:
    """Tell whether a job, or one of a work chain, was taken from the cache; those that others continue never are."""
    jobs = [process] if isinstance(process, orm.CalcJobNode) else process.called
    return any(job.base.caching.is_created_from_cache for job in jobs)


def count_processes(resources: Mapping[str, int], computer: orm.Computer | None) -> int:
    """Return the number of processes that resources are asked for.

    :param computer: whose default counts where the resources do not tell the processes of a machine.
    """
    by_default = None if computer is None else computer.get_default_mpiprocs_per_machine()
    per_machine = resources.get('num_mpiprocs_per_machine') or by_default or 1
    return int(resources.get('tot_num_mpiprocs') or resources.get('num_machines', 1) * per_machine)


def count_cores(resources: Mapping[str, int], computer: orm.Computer | None) -> int:
    """Return the number of cores that a job with these resources keeps from others.

    :param computer: as of :func:`count_processes`.
    """
    processes = count_processes(resources, computer)
    of_machines = resources.get('num_machines', 1) * (resources.get('num_cores_per_machine') or 0)
    return int(max(processes * (resources.get('num_cores_per_mpiproc') or 1), of_machines))
