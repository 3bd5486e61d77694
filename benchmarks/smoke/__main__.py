"""Each benchmark in short: ratios within one run, compared with those that are kept in `benchmarks/results/smoke.json`.

    python -m benchmarks.smoke --output build/smoke

It fails if a benchmark fails, and not if a figure is worse: it says so. `--keep` makes the figures those that are kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from benchmarks.conditions import ROOT, conditions
from benchmarks.smoke.parts import PARTS
from benchmarks.smoke.report import REFERENCE, load_reference, table

ONE_THREAD = dict.fromkeys(
    ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS'), '1'
)
MARK = 'figures: '


@click.command(help=__doc__)
@click.option('--output', type=click.Path(path_type=Path), default=ROOT / 'build' / 'smoke', show_default=True)
@click.option('--only', type=click.Choice(list(PARTS)), multiple=True, help='Run some parts only.')
@click.option('--processes', type=int, default=2, show_default=True, help='Parts that run at the same time.')
@click.option('--keep', is_flag=True, help='Keep the figures as those to compare with.')
@click.option('--here', type=click.Choice(list(PARTS)), hidden=True)
def main(output: Path, only: tuple[str, ...], processes: int, keep: bool, here: str | None) -> None:
    """Run the parts, each in a process of its own, and write what they found."""
    if here:
        click.echo(MARK + json.dumps(PARTS[here].run()))
        return
    names = [name for name in PARTS if not only or name in only]
    with ThreadPoolExecutor(processes) as pool:
        results = dict(zip(names, pool.map(run_part, names), strict=True))
    write(output, results)
    if keep:
        REFERENCE.parent.mkdir(exist_ok=True)
        kept = load_reference() | {name: result for name, result in results.items() if 'figures' in result}
        REFERENCE.write_text(json.dumps({'parts': kept}, indent=2) + '\n')
    if any('error' in result for result in results.values()):
        sys.exit(1)


def run_part(name: str) -> dict[str, Any]:
    """Run a part and return its figures, or why there are none."""
    started = time.monotonic()
    command = [sys.executable, '-m', 'benchmarks.smoke', '--here', name]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not found:
        click.echo(f'{name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}', err=True)
        return {'error': f'exit status {done.returncode}, see the output'}
    return {
        'figures': json.loads(found[-1].removeprefix(MARK)),
        'seconds': round(time.monotonic() - started, 1),
        'conditions': conditions(('numpy', 'ase')),
    }


def write(output: Path, results: dict[str, Any]) -> None:
    """Write the results and their table into a folder, and show the table."""
    output.mkdir(parents=True, exist_ok=True)
    lines = list(table(results, load_reference()))
    (output / 'smoke.json').write_text(json.dumps({'parts': results}, indent=2) + '\n')
    (output / 'smoke.md').write_text('\n'.join(lines) + '\n')
    click.echo('\n'.join(lines))
    seconds = ', '.join(f'{name} {result["seconds"]:.0f} s' for name, result in results.items() if 'seconds' in result)
    click.echo(f'\nStored in {output}. {seconds}')


if __name__ == '__main__':
    main()
