"""The command that shows a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo

from aiida_prospect.cli.outputs import picture_option, writing
from aiida_prospect.cli.root import cmd_root


@cmd_root.command('show')
@arguments.PROCESS()
@click.option('--json', 'as_json', is_flag=True, help='For other programs: everything, as JSON.')
@picture_option
@decorators.with_dbenv()
def cmd_show(process: Any, as_json: bool, picture: Path | None) -> None:
    """Show the search PROCESS, running or ended: minima, labels, cycles, why it ended and what it cost."""
    from aiida_prospect.workflows.search import SearchWorkChain

    if process.process_class is not SearchWorkChain:
        raise click.BadParameter(f'process {process.pk} is no search but a {process.process_label}')
    show(process, as_json=as_json, picture=picture)


def show(node: Any, *, as_json: bool, picture: Path | None) -> None:
    """Print a search and draw it."""
    from aiida_prospect.cli.tables import summary_lines
    from aiida_prospect.workflows.summary import summarise

    summary = summarise(node)
    if as_json:
        echo.echo(json.dumps(summary, indent=2))
    else:
        for line in summary_lines(summary):
            echo.echo(line)
    if picture is not None:
        from aiida_prospect.methods.figures import draw_search

        minima = node.outputs.minima.frames if 'minima' in node.outputs else None
        with writing(picture):
            picture.parent.mkdir(parents=True, exist_ok=True)
            draw_search(summary, minima, picture)
        if not as_json:
            echo.echo_success(f'picture: {picture}')
