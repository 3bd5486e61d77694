"""The command that writes the result of a search for other programs and people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo
from aiida.common.exceptions import AiidaException

from aiida_prospect.cli.outputs import writing
from aiida_prospect.cli.root import cmd_root


@cmd_root.command('export')
@arguments.PROCESS()
@click.argument('folder', type=click.Path(file_okay=False, path_type=Path))
@click.option('--provenance', is_flag=True, help='Also an archive of AiiDA with every calculation of the search.')
@decorators.with_dbenv()
def cmd_export(process: Any, folder: Path, provenance: bool) -> None:
    """Write what the search PROCESS has given into FOLDER: minima, labels, potentials, an archive of AiiDA."""
    from aiida_prospect.cli.foreground import quiet
    from aiida_prospect.workflows.export.files import export_search

    try:
        # AiiDA tells at length of archives in a folder that is not the one that was asked for.
        with writing(folder), quiet('aiida.export'):
            paths = export_search(process, folder, provenance)
    except (ValueError, AiidaException) as error:
        raise click.ClickException(str(error)) from error
    echo.echo_success(f'written: {", ".join(str(path) for path in paths)}')
