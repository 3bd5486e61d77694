"""The command that keeps searches going that nobody looks at."""

from __future__ import annotations

import logging
import signal
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators

from aiida_prospect.cli.root import cmd_root


@cmd_root.command('watch')
@arguments.PROCESSES()
@click.option('--interval', type=click.FloatRange(min=1), default=60, show_default=True, help='Seconds between looks.')
@click.option(
    '--lost-after',
    type=click.FloatRange(min=0),
    default=600,
    show_default=True,
    help='Seconds after which a process that no worker knows and no queue holds is handed to the daemon again.',
)
@click.option('--once', is_flag=True, help='Look once, for example from cron.')
@click.option('--daemon', 'start_daemon', is_flag=True, help='Start the daemon if it does not run.')
@click.option(
    '--log', type=click.Path(dir_okay=False, path_type=Path), help='Log file; by default beside the daemon’s.'
)
@decorators.with_dbenv()
def cmd_watch(
    processes: Any, interval: float, lost_after: float, once: bool, start_daemon: bool, log: Path | None
) -> None:
    """Keep the searches PROCESSES, or all, going after outages.

    AiiDA pauses a job after five failed attempts to reach its computer: it is played when the computer answers. Workers
    of the daemon are restarted after an outage of database or broker, and what they have lost is handed to them again.
    Nothing that you paused yourself is touched.
    """
    from aiida_prospect.campaign.runner import use_runner_without_broker
    from aiida_prospect.campaign.watch import Watcher
    from aiida_prospect.cli.launch import readable_errors

    use_runner_without_broker()
    logger = make_logger(log or default_log())
    with readable_errors():
        watcher = Watcher(
            processes,
            wait=timedelta(seconds=interval),
            patience=timedelta(seconds=lost_after),
            # When cron comes again is not known.
            memory=timedelta(days=1) if once else timedelta(0),
            outage=default_log().with_suffix('.outage'),
            start_daemon=start_daemon,
            logger=logger,
        )
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logger.info('watching %s', ', '.join(map(str, watcher.pks)) or 'all searches')
    while not stop.is_set():
        if _look(watcher, logger) or once:
            break
        stop.wait(interval)
    logger.info('the watch ends')


def _look(watcher: Any, logger: logging.Logger) -> bool:
    """Look once, and tell whether all has ended."""
    from aiida.manage import get_manager

    from aiida_prospect.campaign.watch import OUTAGES

    try:
        # In this order there is a last look after the end.
        ended, result = watcher.all_ended(), watcher.look()
    except OUTAGES as exception:
        # The database or the broker is down: a new connection is made for the next look.
        watcher.note_outage()
        logger.error('%s: %s', type(exception).__name__, str(exception).splitlines()[0])
        get_manager().reset_profile_storage()
        return False
    if result.waiting or result.failed:
        logger.info('still paused: %s', ', '.join(map(str, sorted(result.waiting + result.failed))))
    return bool(ended)


def default_log() -> Path:
    """Return the log file, beside that of the daemon."""
    from aiida.manage import get_manager

    client = get_manager().get_daemon_client()
    return Path(client.daemon_log_file).with_name(f'prospect-watch-{client.profile.name}.log')


def make_logger(path: Path) -> logging.Logger:
    """Return a logger that writes to a file and to the standard error stream."""
    logger = logging.getLogger('aiida_prospect.watch')
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.handlers = [logging.FileHandler(path), logging.StreamHandler(sys.stderr)]
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    return logger
