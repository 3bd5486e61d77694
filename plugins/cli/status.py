"""The command that tells where a search stands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators

from aiida_prospect.cli.provenance import answer, as_json
from aiida_prospect.cli.root import cmd_root


@cmd_root.command('status')
@arguments.PROCESS()
@click.option('--watch', is_flag=True, help='Look again and again, until the search has ended.')
@click.option(
    '--interval', type=click.FloatRange(min=0.1), default=10, show_default=True, help='Seconds between looks.'
)
@as_json
@decorators.with_dbenv()
def cmd_status(process: Any, watch: bool, interval: float, as_json: bool) -> None:
    """Tell where the search PROCESS stands: cycle, stage, jobs, labels done and left, best energy."""
    from aiida_prospect.workflows.provenance.progress import progress_of

    while True:
        # Asked before the look, so that the last look is after the end.
        ended = process.is_terminated
        if watch and not as_json:
            click.clear()
        answer(lambda: progress_of(process), status_lines, as_json)
        if ended or not watch:
            return
        time.sleep(interval)


def status_lines(progress: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a search stands.

    :param progress: from :func:`aiida_prospect.workflows.provenance.progress.progress_of`.
    """
    minutes, seconds = divmod(int(progress['seconds']), 60)
    paused = ', paused' if progress['paused'] else ''
    yield f'Search {progress["pk"]}: {progress["state"]}{paused}, {minutes // 60}:{minutes % 60:02d}:{seconds:02d} h'
    if progress['ended']:
        yield f'Why it ended: {progress["sentence"]}'
    else:
        where = ', '.join(part for part in (progress['where'], progress['stage']) if part)
        yield f'Now: {where}'
        yield f'Jobs of this stage: {_counts(progress["jobs"])}'
    yield f'Jobs of the search: {_counts(progress["all_jobs"])}'
    labels = progress['labels']
    limit = f' of at most {labels["limit"]}' if labels['limit'] else ''
    waiting = f', {labels["waiting"]} on their way' if labels['waiting'] else ''
    yield f'Labels: {labels["made"]}{limit} made ({labels["usable"]} usable){waiting}'
    if not progress['ended']:
        yield f'Labels still expected: {_expected(progress["expected"])}, and the final relaxations'
    best = progress['best_energy']
    yield f'Best label: {"none yet" if best is None else f"{best:.4f} eV/atom"}'
    if progress['assessment']:
        yield f'Last assessment: {progress["assessment"]}'


def _counts(jobs: Mapping[str, int]) -> str:
    return ', '.join(f'{count} {phase}' for phase, count in sorted(jobs.items())) or 'none'


def _expected(expected: Mapping[str, int | None]) -> str:
    least, most = expected['least'], expected['most']
    if most is None:
        return f'at least {least}'
    return f'{least}' if least == most else f'{least} to {most}'
