"""What trainings took, whether anything came of them or not."""

from __future__ import annotations

import json
from contextlib import suppress

from aiida import orm

from aiida_prospect.calculations.runners.stages import RESULTS_FILE
from aiida_prospect.workflows.label.costs import RunCost, core_seconds


def cost_of_training(training: orm.WorkChainNode) -> float:
    """Return the core seconds of all jobs below a training: also of those that failed and of those run again."""
    jobs = [node for node in training.called_descendants if isinstance(node, orm.CalcJobNode)]
    return sum(core_seconds(job, RunCost(wall_seconds=wall_seconds_of(job))) for job in jobs)


def wall_seconds_of(job: orm.CalcJobNode) -> float | None:
    """Return how long a job took by its own account, in s; ``None`` if it was cut short before it gave one.

    A job that fails has no ``results``, but nearly always the file that they are read from.
    """
    if 'results' in job.outputs:
        told = job.outputs.results.get_dict()
    elif 'retrieved' in job.outputs:
        told = _read_results(job.outputs.retrieved)
    else:
        told = {}
    seconds = told.get('total_seconds')
    return None if seconds is None else float(seconds)


def _read_results(retrieved: orm.FolderData) -> dict[str, object]:
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads(retrieved.base.repository.get_object_content(RESULTS_FILE)))
    return {}
