"""The command that looks for labels which cannot be right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo
from tabulate import tabulate

from aiida_prospect.cli.root import cmd_root

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MOST_ROWS = 20


@cmd_root.command('audit')
@arguments.PROCESS()
@click.option('--limits', type=click.Choice(['balanced', 'stringent']), help='When a label is doubted.')
@click.option('--threshold', type=float, help='Least modified z-score of a label that is doubted.')
@click.option('--all', 'everything', is_flag=True, help='Show all labels, not only those that are doubted.')
@click.option('--recompute', is_flag=True, help='Label the doubted structures again, and compare.')
@click.option('--protocol', default='stringent', show_default=True, help='Of the labelling, for `--recompute`.')
@click.option('--overrides', type=EXISTING_FILE, help='YAML file with values laid over that protocol.')
@click.option('--python', 'python_code', help='Python for the evaluation; by default that of the search.')
@click.option('--run/--submit', 'foreground', default=True, show_default=True, help='Here and now, or by the daemon.')
@decorators.with_dbenv()
def cmd_audit(process: Any, everything: bool, foreground: bool, **choices: Any) -> None:
    """Find labels of the search PROCESS that disagree with the ensemble trained on them; or show the audit PROCESS."""
    from aiida_prospect.cli.foreground import run
    from aiida_prospect.cli.launch import readable_errors
    from aiida_prospect.cli.submission import submit
    from aiida_prospect.workflows.audit import AuditWorkChain

    if process.process_class is AuditWorkChain:
        show_audit(process, everything)
        return
    with readable_errors():
        builder = _builder(process, **choices)
        if not foreground:
            submit(builder, 'audit', 'audit')
            return
        node = run(builder)
    show_audit(node, everything)
    if 'suspects' in node.outputs and 'changes' not in node.outputs:
        echo.echo(f'To label them again: aiida-prospect audit {process.pk} --recompute')
    if not node.is_finished_ok:
        sys.exit(1)


def _builder(
    process: Any,
    *,
    limits: str | None,
    threshold: float | None,
    recompute: bool,
    protocol: str,
    overrides: Path | None,
    python_code: str | None,
) -> Any:
    from aiida_prospect.cli.codes import find_python
    from aiida_prospect.cli.overrides import read_overrides
    from aiida_prospect.workflows import audit_inputs
    from aiida_prospect.workflows.search import SearchWorkChain

    if process.process_class is not SearchWorkChain:
        raise ValueError(f'process {process.pk} is no search but a {process.process_label}')
    values = read_overrides(overrides) if overrides else {}
    builder = audit_inputs.audit_builder(
        process,
        limits=limits,
        changes={} if threshold is None else {'threshold': threshold},
        code=find_python(python_code) if python_code else None,
    )
    for key in audit_inputs.not_audited(process, builder):
        echo.echo(f'No ensemble has been trained on the labels of {key} yet: they are not looked at.')
    if recompute:
        audit_inputs.recompute(builder, process, protocol, values)
    return builder


def show_audit(node: Any, everything: bool) -> None:
    """Print what an audit has found."""
    echo.echo(f'Audit {node.pk}: {node.process_state.value if node.process_state else "created"}')
    if node.exit_status:
        echo.echo(f'[{node.exit_status}] {node.exit_message}')
    if 'report' in node.outputs:
        for line in report_lines(node, everything):
            echo.echo(line)
    if 'changes' in node.outputs:
        for line in change_lines(node.outputs.changes.get_dict()):
            echo.echo(line)


def report_lines(node: Any, everything: bool) -> Iterator[str]:
    """Yield the table of the labels."""
    from aiida_prospect.workflows.provenance.label_source import source_of_label

    report = node.outputs.report.get_dict()
    rows = sorted(report['frames'], key=lambda row: -abs(row['z'] or 0))
    shown = [row for row in rows if everything or row['verdict'] == 'suspect']
    counts = ', '.join(f'{count} {verdict}' for verdict, count in report['by_verdict'].items())
    yield f'Labels: {counts} (z of at least {report["parameters"]["threshold"]:g} and a large residual)'
    if not shown:
        worst = next((row for row in rows if row['z'] is not None), None)
        if worst:
            frame, residual = f'{worst["set"]}/{worst["index"]}', _residual(worst, report['units'])
            yield f'The farthest off is {frame}: {residual}, z {worst["z"]:.1f}'
        return
    table = []
    for row in shown if everything else shown[:MOST_ROWS]:
        source = source_of_label(node.inputs.labels[row['set']], row['index'])
        made = '-' if source is None else f'{source.process_label}<{source.pk}>'
        z = '-' if row['z'] is None else f'{row["z"]:.1f}'
        residual = _residual(row, report['units'])
        table.append((row['index'], row['set'], row['origin'], residual, z, row['verdict'], row['reason'], made))
    headers = ('frame', 'cycle', 'origin', 'residual', 'z', 'status', 'reason', 'made by')
    yield tabulate(table, headers, disable_numparse=True, maxcolwidths=[None] * 6 + [45, None])
    if len(shown) > len(table):
        yield f'… and {len(shown) - len(table)} more: --all shows them'


def _residual(row: dict[str, Any], units: dict[str, str]) -> str:
    if row['residual'] is None:
        return '-'
    name = row['quantity'].replace('_max', ', one atom')
    return f'{row["residual"]:+.3f} {units[row["quantity"]]} ({name})'


def change_lines(changes: dict[str, Any]) -> Iterator[str]:
    """Yield the table of what a recomputation changed."""
    table = [
        (
            row['index'],
            row['set'],
            row['status'],
            *(_number(row['energy'][key], 4) for key in ('old', 'new')),
            _number(row['energy']['difference'], 4, sign='+'),
            *(_number(row['max_force'][key], 3) for key in ('old', 'new')),
            _number(row['forces']['difference'], 3),
            row['reason'],
        )
        for row in changes['frames']
    ]
    headers = ('frame', 'cycle', 'status', 'E old eV/atom', 'new', 'difference', 'F max old eV/Å', 'new', 'ΔF rms', '')
    yield ''
    yield 'Labelled again:'
    yield tabulate(table, headers, disable_numparse=True)


def _number(value: float | None, digits: int, sign: str = '') -> str:
    return '-' if value is None else f'{value:{sign}.{digits}f}'
