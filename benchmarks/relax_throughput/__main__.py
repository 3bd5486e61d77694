"""Relaxation throughput: crystals times steps per second, and evaluations per relaxation.

    python -m benchmarks.relax_throughput run --pytorch .venv-pytorch/bin/python
    python -m benchmarks.relax_throughput optimisers
    python -m benchmarks.relax_throughput shares
    python -m benchmarks.relax_throughput table

What is stored is not measured again. On a machine with a graphics processor, `run --device cuda`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from benchmarks.relax_throughput import page
from benchmarks.relax_throughput.models import Models
from benchmarks.relax_throughput.rows import ROOT, SEED, UNSEEN, Interpreters, Row, measure, optimiser_rows, rows, store
from benchmarks.relax_throughput.shares import store_shares

FOLDER = ROOT / 'build' / 'relax_throughput'


@click.group(help=__doc__)
def main() -> None:
    """Measure."""


@main.command('run')
@click.option('--device', type=click.Choice(['cpu', 'cuda']), default='cpu', show_default=True)
@click.option('--pytorch', default='', help='Interpreter with the PyTorch backend; without it, its rows are left out.')
@click.option('--torchsim', default='', help='Interpreter with TorchSim and the PyTorch backend.')
@click.option('--only', default='', help='Rows whose names contain this.')
@click.option('--models', type=click.Path(path_type=Path), default=FOLDER, show_default=True, help='Their folder.')
def run_command(device: str, pytorch: str, torchsim: str, only: str, models: Path) -> None:
    """Measure structures times steps per second."""
    _measure_all(rows(device), Interpreters(pytorch, torchsim), only, models)


@main.command('optimisers')
@click.option('--crystals', type=int, default=200, show_default=True)
@click.option(
    '--seed', type=click.Choice([str(SEED), str(UNSEEN)]), default=str(SEED), show_default=True, help='Of these.'
)
@click.option('--only', default='', help='Rows whose names contain this.')
@click.option('--models', type=click.Path(path_type=Path), default=FOLDER, show_default=True, help='Their folder.')
def optimisers_command(crystals: int, seed: str, only: str, models: Path) -> None:
    """Count evaluations of all optimisers on the same crystals."""
    _measure_all(optimiser_rows(crystals, int(seed)), Interpreters(), only, models)


@main.command('shares')
@click.option('--models', type=click.Path(path_type=Path), default=FOLDER, show_default=True, help='Their folder.')
def shares_command(models: Path) -> None:
    """Measure where the time of a relaxation goes."""
    store_shares(Models(models))


@main.command('table')
def table_command() -> None:
    """Write the page of the documentation."""
    page.PAGE.write_text('\n'.join(page.page()) + '\n')


def _measure_all(wanted: Iterable[Row], interpreters: Interpreters, only: str, folder: Path) -> None:
    models = Models(folder, pytorch=interpreters.pytorch)
    for row in wanted:
        if only in row.name and not row.path.is_file():
            if not interpreters.of(row):
                click.echo(f'{row.name}: left out, no interpreter')
                continue
            try:
                result = measure(row, models, interpreters)
            except (OSError, RuntimeError, ValueError) as exception:
                click.echo(f'{row.name}: {exception}')
                continue
            store(row, result)
            rate = result.get('per_cpu_second') or result['details']['per_cpu_second']
            click.echo(f'{row.name}: {rate:.0f} per second of the processor')


if __name__ == '__main__':
    main()
