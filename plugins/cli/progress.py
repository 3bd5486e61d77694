"""What a search in the foreground is doing, live."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import Process, ProcessBuilder
from aiida.engine.runners import Runner
from aiida.manage import get_manager
from aiida.orm.utils.log import DBLogHandler
from plumpy import KilledError

from aiida_prospect.workflows.search_inputs import count_labels, lowest_energy

LOGGER = logging.getLogger(__name__)
INTERVAL = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STAGES = {
    'select': 'choosing candidates',
    'label': 'labelling',
    'train': 'training the ensemble',
    'explore': 'relaxing the pool',
    'cluster': 'clustering',
    'assess': 'assessing',
    'decide_stop': 'assessing',
    'pool': 'making the pool',
    'refill': 'renewing the pool',
    'rank': 'ranking the minima',
    'extract': 'storing the minima',
}
STEP = re.compile(r'(?:cycle_(\d+)_|(final)_)?(.*?)(?:_\d+)?')
CALLS = (LinkType.CALL_WORK, LinkType.CALL_CALC)


def run(builder: ProcessBuilder) -> orm.WorkChainNode:
    """Run a search in this process and write what it is doing to the standard error stream.

    :return: the node of the search, however it ended. An interrupt kills the search and its jobs; what it computed
        stays.
    """
    runner = ForegroundRunner()
    get_manager().set_runner(runner)
    process = runner.instantiate_process(builder)
    # By way of the event loop, because a plain handler may run in the middle of a transaction of the database.
    for number in SIGNALS:
        runner.loop.add_signal_handler(number, runner.kill)
    watcher = runner.loop.create_task(_watch(process.node))
    try:
        with only_reports_of(process.node), suppress(KilledError):
            process.execute()
    finally:
        if watcher.done() and watcher.exception():
            LOGGER.warning('the display of the progress broke off', exc_info=watcher.exception())
        watcher.cancel()
        Line().clear()
        for number in SIGNALS:
            runner.loop.remove_signal_handler(number)
    return process.node


class ForegroundRunner(Runner):
    """Runs processes here and now, whether or not there is a broker that is up, and can kill all of them."""

    def __init__(self) -> None:
        super().__init__(poll_interval=get_manager().get_option('runner.poll.interval'), communicator=None)
        self._started: list[Process] = []

    def instantiate_process(self, *arguments: Any, **inputs: Any) -> Process:
        """Make a process, and remember it."""
        process = super().instantiate_process(*arguments, **inputs)
        self._started.append(process)
        return process

    def kill(self) -> None:
        """Kill the processes that have not ended, parents before their children, and their jobs."""
        for process in self._started:
            if not (process.has_terminated() or process.is_killing):
                process.kill(msg_text='interrupted by the user')


@contextmanager
def only_reports_of(node: orm.WorkChainNode) -> Iterator[None]:
    """Keep what the parts of a search report from the terminal, but for warnings; it stays in the database."""
    mine = f'[{node.pk}|'

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.getMessage().startswith(mine)

    kept = (logging.FileHandler, DBLogHandler)
    handlers = [handler for handler in logging.getLogger('aiida').handlers if not isinstance(handler, kept)]
    for handler in handlers:
        handler.addFilter(is_wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_wanted)


class Line:
    """One line of a terminal that is written again and again; elsewhere a new line whenever the stage changes."""

    def __init__(self) -> None:
        self.last = ''

    def write(self, key: str, text: str) -> None:
        """Show a text; ``key`` says which texts are the same line in a log file."""
        if sys.stderr.isatty():
            sys.stderr.write(f'\r\033[K{text[: shutil.get_terminal_size().columns - 1]}')
        elif key != self.last:
            sys.stderr.write(f'{text}\n')
        self.last = key
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for other output."""
        if sys.stderr.isatty():
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()


async def _watch(node: orm.WorkChainNode) -> None:
    line, start = Line(), time.monotonic()
    while not node.is_terminated:
        key, text = describe(node)
        elapsed = int(time.monotonic() - start)
        line.write(key, f'[{elapsed // 60:02d}:{elapsed % 60:02d}] {text}')
        await asyncio.sleep(INTERVAL)


def describe(node: orm.WorkChainNode) -> tuple[str, str]:
    """Say in one line what a search is doing now.

    :return: a key that changes when the stage does, and the line.
    """
    label = _current_stage(node)
    if label is None:
        return 'start', 'starting'
    where, stage = stage_in_words(label)
    parts = [part for part in (where, stage, jobs(node), standing(node)) if part]
    return label, ' | '.join(parts)


def stage_in_words(label: str) -> tuple[str, str]:
    """Return where a search is and what it does there, from the label of a call: ``cycle_03_label``, ``pool``."""
    cycle, final, stage = STEP.fullmatch(label).groups()  # type: ignore[union-attr]  # it matches everything
    return f'cycle {int(cycle)}' if cycle else final or '', STAGES.get(stage, stage)


def standing(node: orm.WorkChainNode) -> str:
    """Say how far a search has come: labels made and left, lowest energy, errors of the ensemble."""
    returned = {link.link_label: link.node.pk for link in node.base.links.get_outgoing(link_type=LinkType.RETURN).all()}
    labels = [_labels_in(pk) for name, pk in returned.items() if name.endswith('__labels')]
    if not labels:
        return ''
    limit = node.inputs.budget.get_dict().get('max_labels')
    made = sum(count for count, _ in labels)
    texts = [
        f'{made} of {limit} labels' if limit else f'{made} labels',
        f'best {min(e for _, e in labels):.3f} eV/atom',
    ]
    reports = sorted(name for name in returned if name.endswith('__training_report'))
    if reports:
        texts.append(_errors_in(returned[reports[-1]]))
    return ', '.join(texts)


@lru_cache(maxsize=100)
def _labels_in(pk: int) -> tuple[int, float]:
    frames = orm.load_node(pk).frames
    return count_labels(frames), lowest_energy(frames)


@lru_cache(maxsize=100)
def _errors_in(pk: int) -> str:
    errors = orm.load_node(pk).get_dict()['errors'].values()
    energy, forces = (sum(item[name] for item in errors) / len(errors) for name in ('energy', 'forces'))
    return f'ensemble error {1000 * energy:.0f} meV/atom, {forces:.2f} eV/Å'


def _current_stage(node: orm.WorkChainNode) -> str | None:
    links = node.base.links.get_outgoing(link_type=CALLS).all()
    return max(links, key=lambda link: link.node.pk).link_label if links else None


def jobs(node: orm.WorkChainNode) -> str:
    """Count the jobs of the current stage, by what they are doing, with the progress that they tell of themselves."""
    children = [link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()]
    running = [child for child in children if isinstance(child, orm.WorkChainNode) and not child.is_terminated]
    calculations = [job for child in running for job in child.called_descendants if isinstance(job, orm.CalcJobNode)]
    if not calculations:
        return ''
    done = sum(job.is_terminated for job in calculations)
    texts = [f'{done} of {len(calculations)} jobs done']
    told = [progress for job in calculations if not job.is_terminated and (progress := _own_progress(job))]
    if told:
        texts.append(f'{sum(p["done"] for p in told)} of {sum(p["total"] for p in told)} structures in those that run')
    return ', '.join(texts)


def _own_progress(job: orm.CalcJobNode) -> dict[str, Any]:
    """Read the file in which our own jobs on this machine tell how far they are."""
    folder = job.get_remote_workdir()
    if folder is None or job.computer is None or job.computer.transport_type != 'core.local':
        return {}
    try:
        told: dict[str, Any] = json.loads((Path(folder) / 'progress.json').read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return told if {'done', 'total'} <= told.keys() else {}
