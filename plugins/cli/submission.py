"""What is handed over to the daemon."""

from __future__ import annotations

import click
from aiida import engine, orm
from aiida.cmdline.utils import echo
from aiida.common.exceptions import InvalidOperation
from aiida.engine import ProcessBuilder
from aiida.engine.daemon.client import get_daemon_client


def submit(builder: ProcessBuilder, name: str, command: str, group: str | None = None) -> None:
    """Submit a process, and say how to look at it.

    :param name: what it is to a user.
    :param command: that shows it.
    :param group: label of the group that it is put into, made if it is not there.
    :raises click.ClickException: if the daemon cannot be told, with what to do.
    """
    try:
        node = engine.submit(builder)
    except (InvalidOperation, ConnectionError) as error:
        advice = 'Start the daemon with `verdi daemon start`, or give `--run` instead of `--submit`.'
        raise click.ClickException(f'{str(error).strip()}\n{advice}') from error
    if group:
        orm.Group.collection.get_or_create(group)[0].add_nodes(node)
    echo.echo_success(f'submitted {name} {node.pk}; look at it with: aiida-prospect {command} {node.pk}')
    if not get_daemon_client().is_daemon_running:
        echo.echo_warning(f'the daemon is not running: the {name} begins after `verdi daemon start`')
