"""Run what is missing, several tasks at the same time, and store each as it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.labels import count_labels
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from benchmarks.conditions import conditions
from benchmarks.label_efficiency import baseline
from benchmarks.label_efficiency.loop import Search
from benchmarks.label_efficiency.methods import BASELINE, TRANSFER, method_of
from benchmarks.label_efficiency.networks import Start
from benchmarks.label_efficiency.quantum_espresso import PROGRAM, CheapSilicon, version_of_program
from benchmarks.label_efficiency.record import summarise
from benchmarks.label_efficiency.store import Task, write
from benchmarks.label_efficiency.systems import SYSTEMS, System
from benchmarks.label_efficiency.truth import Truth, store_phases

ONE_THREAD = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')


def result_of(task: Task) -> dict[str, Any]:
    """Run a task and return what is stored of it."""
    system = SYSTEMS[task.system]
    if task.method == BASELINE:
        return baseline.run(system, task.pool, task.seed)
    method = method_of(task.method)
    settings = method.settings(system, task.pool, task.seed)
    before = labels_of_source(system, task) if task.method == TRANSFER else None
    start = Start.of(method.start) if method.start else None
    search = Search(settings, system.surface.ensemble(), before, start, uncertain_are_minima=method.published)
    result = summarise(search.run(), Truth(system))
    return result if before is None else {'n_labels_before': count_labels(before), **result}


def labels_of_source(system: System, task: Task) -> Frames:
    """Return the labels of a search in the smaller cell.

    :raises ValueError: if the system has none.
    """
    if system.source is None:
        raise ValueError(f'no smaller cell is known for {system.name}')
    source = SYSTEMS[system.source]
    settings = method_of('prospect').settings(source, task.pool, task.seed)
    return Search(settings, source.surface.ensemble()).run().labels


def programs_of(task: Task) -> dict[str, str]:
    """Return the versions of programs beside the packages that all results name."""
    found = {}
    if SYSTEMS[task.system].surface.make is CheapSilicon:
        found[PROGRAM] = version_of_program()
    if task.method != BASELINE and 'force_field' in method_of(task.method).overrides.get('train', {}):
        found['deepmd-kit'] = version('deepmd-kit')
    return found


def run_task(task: Task) -> None:
    """Run a task and store it, unless it is stored."""
    if task.path.exists():
        return
    started = time.monotonic()
    result = {'system': task.system, 'method': task.method, 'pool': task.pool, 'seed': task.seed}
    result |= conditions(said=task.command)
    result |= {'optimizer': RelaxSettings().optimizer.value, 'programs': programs_of(task)}
    write(task.path, result | result_of(task))
    sys.stderr.write(f'{task.path.stem} of {task.system}: {time.monotonic() - started:.0f} s\n')
    sys.stderr.flush()


def run_tasks(tasks: Iterable[Task], jobs: int, hours: float | None = None) -> None:
    """Run tasks in their order.

    :param jobs: processes at the same time, of one thread each.
    :param hours: after which none is begun.
    """
    # Without the handler the children of a process that is ended would go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # numpy reads them when it is imported, which the children do anew.
    os.environ |= dict.fromkeys(ONE_THREAD, '1')
    store_phases()
    missing = [task for task in tasks if not task.path.exists()]
    limit = time.monotonic() + 3600 * hours if hours is not None else float('inf')
    context = multiprocessing.get_context('spawn')
    running: list[Any] = []
    try:
        while missing or running:
            running = [process for process in running if process.is_alive()]
            while missing and len(running) < jobs and time.monotonic() < limit:
                process = context.Process(target=run_task, args=(missing.pop(0),))
                process.start()
                running.append(process)
            if time.monotonic() >= limit:
                missing = []
            time.sleep(0.5)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in running:
            process.terminate()
