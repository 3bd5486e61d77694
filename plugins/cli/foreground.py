"""A search that runs in the process of the user."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiida import orm
from aiida.engine import CalcJob, Process, ProcessBuilder
from aiida.engine.runners import Runner
from aiida.manage import get_manager
from aiida.orm.utils.log import DBLogHandler
from plumpy import KilledError, run_with_portal
from plumpy.process_states import Interruption

from aiida_prospect.campaign.stranded import FOREGROUND
from aiida_prospect.cli.progress import describe

LOGGER = logging.getLogger(__name__)
INTERVAL = 2.0
# s, after which a file is told how far a long stage has come.
PAUSE = 300.0
# s, between questions whether a child has ended.
LONGEST_POLL = 1.0
# How often, and for how long, s, the jobs are asked to end after an interrupt.
KILLS, PATIENCE = 6, 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PARSERS = 'aiida.parser.'


def run(builder: ProcessBuilder, group: orm.Group | None = None) -> orm.WorkChainNode:
    """Run a search in this process and write what it is doing to the standard error stream.

    :param group: that the search is put into as it begins.
    :return: the node of the search, however it ended. An interrupt kills the search and its jobs; what it computed
        stays.
    """
    # An earlier runner takes its event loop with it, so it must go first.
    get_manager().reset_runner()
    runner = ForegroundRunner()
    get_manager().set_runner(runner)
    process = runner.instantiate_process(builder)
    process.node.base.extras.set(FOREGROUND, True)
    if group is not None:
        group.add_nodes(process.node)
    # By way of the event loop, because a plain handler may run in the middle of a transaction of the database.
    for number in SIGNALS:
        runner.loop.add_signal_handler(number, _kill, [process])
    watcher = runner.loop.create_task(_watch(process.node))
    runner.loop.set_exception_handler(_ignore_interruptions)
    try:
        with only_reports_of(process.node):
            _execute(process, runner)
    finally:
        if watcher.done() and watcher.exception():
            LOGGER.warning('the display of the progress broke off', exc_info=watcher.exception())
        watcher.cancel()
        runner.loop.run_until_complete(asyncio.wait([watcher]))
        Line().clear()
        for number in SIGNALS:
            runner.loop.remove_signal_handler(number)
    return process.node


def _execute(process: Process, runner: ForegroundRunner) -> None:
    try:
        process.execute()
    except KilledError:
        # What was being uploaded is interrupted, which the transports report as an error.
        with quiet('aiida.engine.transports'):
            runner.loop.run_until_complete(runner.end())


def _ignore_interruptions(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of tasks that were interrupted and that nobody asks for their result any more."""
    if not isinstance(context.get('exception'), Interruption):
        loop.default_exception_handler(context)


class ForegroundRunner(Runner):
    """Runs processes here and now, whether or not there is a broker that is up, and can kill all of them."""

    def __init__(self) -> None:
        manager = get_manager()
        # That of profiles with a broker, which tells of ends, is a minute.
        interval = min(manager.get_option('runner.poll.interval'), LONGEST_POLL)
        super().__init__(poll_interval=interval, persister=manager.get_persister())
        self._started: list[Process] = []

    def instantiate_process(self, *arguments: Any, **inputs: Any) -> Process:
        """Make a process, and remember it."""
        process = super().instantiate_process(*arguments, **inputs)
        self._started.append(process)
        return process

    async def end(self) -> None:
        """See that all processes end: what calls others first, so that it makes nothing of the end of a job.

        A job that is being uploaded or submitted can only be killed afterwards, so each is asked several times.
        """
        callers = [process for process in self._started if not isinstance(process, CalcJob)]
        jobs = [process for process in self._started if isinstance(process, CalcJob)]
        for processes in (callers, jobs):
            for _ in range(KILLS):
                left = [process for process in processes if not process.has_terminated()]
                if not left:
                    break
                await run_with_portal(_kill, left)
                await asyncio.wait([process.future() for process in left], timeout=PATIENCE)


def _kill(processes: Iterable[Process]) -> None:
    for process in processes:
        # What is just leaving its state refuses, and is asked again.
        with suppress(asyncio.InvalidStateError):
            process.kill(msg_text='interrupted by the user')


@contextmanager
def only_reports_of(node: orm.WorkChainNode) -> Iterator[None]:
    """Keep what the parts of a search report from the terminal, but for warnings; it stays in the database.

    What a parser warns of does not say which job it is about; what became of a job the search tells itself.
    """
    mine = f'[{node.pk}|'

    def is_wanted(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith(mine):
            return True
        return record.levelno >= logging.WARNING and not record.name.startswith(PARSERS)

    kept = (logging.FileHandler, DBLogHandler)
    handlers = [handler for handler in logging.getLogger('aiida').handlers if not isinstance(handler, kept)]
    for handler in handlers:
        handler.addFilter(is_wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_wanted)


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Keep a logger silent."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class Line:
    """One line of a terminal that is written again and again; elsewhere a new one with each stage, and at times within.

    :param pause: in a file, the seconds after which a stage is told again if something has changed.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self.key, self.text, self.since = '', '', 0.0

    def write(self, key: str, text: str, seconds: float) -> None:
        """Show a text.

        :param key: says which texts are of the same stage.
        :param seconds: since the start, which go before the text.
        """
        line = f'[{int(seconds) // 60:02d}:{int(seconds) % 60:02d}] {text}'
        if sys.stderr.isatty():
            sys.stderr.write(f'\r\033[K{line[: shutil.get_terminal_size().columns - 1]}')
        elif key != self.key or (text != self.text and seconds - self.since >= self.pause):
            sys.stderr.write(f'{line}\n')
            self.key, self.text, self.since = key, text, seconds
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for other output."""
        if sys.stderr.isatty():
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()


async def _watch(node: orm.WorkChainNode) -> None:
    line, start = Line(), time.monotonic()
    while not node.is_terminated:
        line.write(*describe(node), time.monotonic() - start)
        await asyncio.sleep(INTERVAL)
