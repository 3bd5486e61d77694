"""The command that writes a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo

from aiida_prospect.cli.outputs import writing
from aiida_prospect.cli.root import cmd_root


@cmd_root.command('report')
@arguments.PROCESS()
@click.option(
    '-o',
    '--output',
    'folder',
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder that is written to; by default `report-PK`.',
)
@decorators.with_dbenv()
def cmd_report(process: Any, folder: Path | None) -> None:
    """Write a report of the search PROCESS, running or ended: a page for any browser, and its figures as files."""
    from aiida_prospect.cli.launch import readable_errors
    from aiida_prospect.workflows.report.write import write_report

    folder = folder or Path(f'report-{process.pk}')
    with readable_errors(), writing(folder):
        path = write_report(process, folder)
    echo.echo_success(f'report: {path}')
