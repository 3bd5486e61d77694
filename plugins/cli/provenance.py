"""The commands that ask the provenance of a search."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.common.enums import LabelStatus

# A candidate that has no label yet is waiting.
STATUSES = (*(status.value for status in LabelStatus), 'waiting')
as_json = click.option('--json', 'as_json', is_flag=True, help='For other programs: everything, as JSON.')


def answer(question: Callable[[], Any], lines: Callable[[Any], Iterator[str]], as_json: bool) -> None:
    """Print the answer to a question, in words or as JSON."""
    from aiida_prospect.cli.launch import readable_errors

    with readable_errors():
        found = question()
    if as_json:
        echo.echo(json.dumps(found, indent=2))
        return
    for line in lines(found):
        echo.echo(line)


@cmd_root.command('why')
@arguments.PROCESS()
@click.argument('index', type=int)
@click.option('--cycle', type=int, help='Count INDEX within this cycle; by default over all cycles.')
@as_json
@decorators.with_dbenv()
def cmd_why(process: Any, index: int, cycle: int | None, as_json: bool) -> None:
    """Say why candidate INDEX of the search PROCESS was labelled, and what came of it.

    INDEX counts from 0 over all cycles, as `aiida-prospect labels` does.
    """
    from aiida_prospect.cli.answers import why_lines
    from aiida_prospect.workflows.provenance.why import explain

    answer(lambda: explain(process, index, cycle), why_lines, as_json)


@cmd_root.command('history')
@arguments.NODE()
@click.argument('rank', type=int, default=0)
@as_json
@decorators.with_dbenv()
def cmd_history(node: Any, rank: int, as_json: bool) -> None:
    """Follow a minimum back to the random crystal that it descends from.

    NODE is a search, and RANK the number of the minimum in `aiida-prospect show`, by default that of the lowest, 0; or
    NODE is the structure itself.
    """
    from aiida import orm

    from aiida_prospect.cli.answers import history_lines
    from aiida_prospect.workflows.provenance.history import minimum_of, trace

    answer(lambda: trace(minimum_of(node, rank) if isinstance(node, orm.ProcessNode) else node), history_lines, as_json)


@cmd_root.command('labels')
@arguments.PROCESS()
@click.option('--status', type=click.Choice(STATUSES), help='Only these.')
@click.option('--cycle', type=int, help='Only those of this cycle.')
@click.option('--min-cost', 'cost', type=float, help='Only those that took at least so many core seconds.')
@click.option('--code', help='Only those of codes whose full label contains this.')
@click.option(
    '--sort',
    'sorted_by',
    type=click.Choice(['index', 'energy', 'cost']),
    default='index',
    show_default=True,
    help='What the list is sorted by.',
)
@as_json
@decorators.with_dbenv()
def cmd_labels(process: Any, sorted_by: str, as_json: bool, **wanted: Any) -> None:
    """List the labels of the search PROCESS: status, energy, cost and code of each."""
    from aiida_prospect.cli.answers import labels_lines
    from aiida_prospect.workflows.provenance.labels import LabelFilter, list_labels

    answer(lambda: list_labels(process, LabelFilter(**wanted), sorted_by), labels_lines, as_json)


@cmd_root.command('cost')
@arguments.PROCESS()
@as_json
@decorators.with_dbenv()
def cmd_cost(process: Any, as_json: bool) -> None:
    """Say what the search PROCESS cost: core seconds, jobs and wall time by stage and cycle."""
    from aiida_prospect.cli.answers import cost_lines
    from aiida_prospect.workflows.provenance.cost import cost_of

    answer(lambda: cost_of(process), cost_lines, as_json)
