"""The command ``aiida-prospect``."""

import logging
import sys

import click
from aiida.cmdline.groups import VerdiCommandGroup
from aiida.cmdline.params import options, types
from aiida.cmdline.utils.echo import CMDLINE_LOGGER
from aiida.cmdline.utils.log import CliHandler

from aiida_prospect import __version__


@click.group('aiida-prospect', cls=VerdiCommandGroup, context_settings={'help_option_names': ['-h', '--help']})
@options.PROFILE(type=types.ProfileParamType(load_profile=True), expose_value=False)
@click.version_option(__version__, message='aiida-prospect %(version)s')
def cmd_root() -> None:
    """Find crystal structures with as few calculations as possible."""
    setattr(CliHandler, 'handleError', end_at_closed_pipe)  # noqa: B010  # AiiDA makes the handlers, again and again


def end_at_closed_pipe(handler: logging.Handler, record: logging.LogRecord) -> None:
    """End the command without a word if who reads what it prints has gone away, as ``head`` does.

    What processes report meanwhile must not end them, and is not printed any more.

    :raises BrokenPipeError: which click makes the end of the command.
    """
    if not isinstance(sys.exc_info()[1], BrokenPipeError):
        logging.Handler.handleError(handler, record)
    elif record.name == CMDLINE_LOGGER.name:
        raise


from aiida_prospect.cli import audit, doctor, export, provenance, report, search, show, status, watch  # noqa: E402, F401
