"""The command ``aiida-prospect``."""

import click
from aiida.cmdline.groups import VerdiCommandGroup
from aiida.cmdline.params import options, types

from aiida_prospect import __version__


@click.group('aiida-prospect', cls=VerdiCommandGroup, context_settings={'help_option_names': ['-h', '--help']})
@options.PROFILE(type=types.ProfileParamType(load_profile=True), expose_value=False)
@click.version_option(__version__, message='aiida-prospect %(version)s')
def cmd_root() -> None:
    """Find crystal structures with as few calculations as possible."""


from aiida_prospect.cli import audit, doctor, export, provenance, report, search, show, status, watch  # noqa: E402, F401
