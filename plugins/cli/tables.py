"""A search in words and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tabulate import tabulate


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield what a user wants to read of a search, line by line.

    :param summary: from :func:`aiida_prospect.workflows.summary.summarise`.
    """
    formula = ''.join(f'{element}{count}' for element, count in summary['composition'].items())
    method = summary['label_workflow'].removeprefix('prospect.label.')
    choices = f'labels by {method}, strategy {summary["strategy"]}, seed {summary["seed"]}'
    yield f'Search {summary["pk"]}: {formula}, {choices}'
    yield f'State: {_state(summary)}'
    if summary['stop']:
        yield f'Why it ended: {summary["stop"]["sentence"]}'
    yield ''
    yield from _minima(summary['ranking'])
    yield from _cycles(summary['cycles'])
    yield from _labels(summary)
    cost = ', '.join(f'{stage} {seconds:.0f}' for stage, seconds in summary['cost'].items())
    yield f'Core seconds: {cost}; wall time {summary["seconds"]:.0f} s'


def _state(summary: dict[str, Any]) -> str:
    if summary['exit_status']:
        return f'{summary["state"]} [{summary["exit_status"]}] {summary["exit_message"]}'
    return f'{summary["state"]} [0]' if summary['exit_status'] == 0 else str(summary['state'])


def _minima(ranking: dict[str, Any] | None) -> Iterator[str]:
    if ranking is None:
        yield 'No minima yet.'
        yield ''
        return
    rows = [
        (
            index,
            f'{item["energy_above_best"] * 1000:.1f}',
            f'{item["energy_per_atom"]:.4f}',
            f'{item["space_group_symbol"]} ({item["space_group_number"]})',
            f'{item["volume_per_atom"]:.2f}',
            item['n_atoms'],
            _lattice(item['lattice']),
            _references(item.get('references') or []),
            item.get('origin', ''),
        )
        for index, item in enumerate(ranking['minima'])
    ]
    measures = ('ΔE meV/atom', 'E eV/atom', 'space group', 'V Å³/atom', 'atoms', 'conventional cell Å')
    headers = ('', *measures, 'reference', 'from')
    yield tabulate(rows, headers, disable_numparse=True)
    yield ''
    for index, item in enumerate(ranking['minima']):
        if item.get('reason'):
            yield f'Minimum {index}: {item["reason"]}.'
    rejected = ranking.get('failed') or []
    if rejected:
        yield f'{len(rejected)} further structures could not be relaxed; see --json'
        yield ''


def _lattice(lattice: dict[str, float]) -> str:
    lengths = ' '.join(f'{lattice[name]:.3f}' for name in ('a', 'b', 'c'))
    angles = [lattice[name] for name in ('alpha', 'beta', 'gamma')]
    if all(abs(angle - 90) < 0.01 for angle in angles):
        return lengths
    return f'{lengths} {" ".join(f"{angle:.1f}°" for angle in angles)}'


def _references(matches: list[dict[str, Any]]) -> str:
    return ', '.join(str(match['name']) for match in matches) or '-'


def _cycles(cycles: list[dict[str, Any]]) -> Iterator[str]:
    if not cycles:
        return
    rows = []
    for cycle in cycles:
        pool, assessment = cycle['pool'] or {}, cycle['assessment'] or {}
        status = ', '.join(f'{count} {name}' for name, count in sorted(pool.get('by_status', {}).items()))
        rows.append(
            (
                cycle['cycle'],
                cycle['n_labels'],
                _number(cycle['lowest_label']),
                _number(pool.get('lowest_energy')),
                status or '-',
                assessment.get('reason', '-'),
            )
        )
    headers = ('cycle', 'labels', 'lowest label eV/atom', 'lowest of pool', 'relaxed pool', 'assessment')
    yield tabulate(rows, headers, disable_numparse=True, maxcolwidths=[None, None, None, None, 30, 50])
    yield ''


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.4f}'


def _labels(summary: dict[str, Any]) -> Iterator[str]:
    by_status = ', '.join(f'{count} {status}' for status, count in sorted(summary['labels']['by_status'].items()))
    yield f'Labels: {summary["labels"]["total"]} ({by_status})' if by_status else 'Labels: none'
    for item in summary['initial_labels']:
        counts = ', '.join(f'{count} {status}' for status, count in sorted(item['labels'].items()))
        kind = 'of an earlier search' if item['of_a_search'] else 'given, not counted'
        yield f'  and {counts} {kind}: {item["name"]} {item["from"]}'.rstrip()
    final = summary['final_relaxation']
    if final:
        yield f'Final relaxation: {final["evaluations"]} further evaluations of the reference method'
