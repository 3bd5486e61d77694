"""Answers about the provenance of a search, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tabulate import tabulate

SHORT = 60


def why_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a candidate was labelled and what came of it.

    :param answer: from :func:`aiida_prospect.workflows.provenance.why.explain`.
    """
    place = f'cycle {answer["cycle"]}, frame {answer["frame"]} of its candidates'
    yield f'Candidate {answer["index"]} of search {answer["search"]}: {answer["formula"]}, {place}'
    yield f'Descends from: {answer["origin"] or "not known"}'
    if answer['strategy']:
        yield f'Chosen by `{answer["strategy"]}`: {answer["reason"] or "no reason was given"}'
    yield from _where_from(answer)
    yield from _seen_by(answer['seen_by'], answer['prediction'])
    yield from _outcome(answer['label'])
    training = answer['training']
    if training['used_in_cycles']:
        yield f'Trained on in cycles: {", ".join(map(str, training["used_in_cycles"]))}'
    left_out = training['left_out_in_cycles']
    if left_out:
        cycles = ', '.join(map(str, left_out))
        yield f'Left out of the training in cycles: {cycles}; in the last because {left_out[max(left_out)]}'
    for cycle, other in training['other_label_in_cycles'].items():
        energy = number(other['energy_per_atom'], 4)
        yield f'In cycle {cycle} the training had another label, which was replaced since: {energy} eV/atom'
    ranks = ', '.join(map(str, answer['minima']))
    yield f'Minima from the same crystal: {ranks}' if ranks else 'No minimum descends from the same crystal.'


def _where_from(answer: Mapping[str, Any]) -> Iterator[str]:
    pool, cluster = answer['pool'], answer['cluster']
    if pool:
        relaxed = f'relaxation: {pool["relaxation"]} after {pool["steps"]} steps' if pool['relaxation'] else 'unrelaxed'
        yield f'Pool {pool["pk"]}: frame {pool["frame"]} of {pool["n_frames"]}, {relaxed}'
        if pool['displacement']:
            yield f'Its atoms were displaced by {pool["displacement"]:.2f} Å (root mean square) before it was labelled.'
        if pool['strain']:
            yield f'Its cell was strained by {100 * pool["strain"]:.1f} % (root mean square) before it was labelled.'
    if cluster and cluster['energy_above_lowest'] is not None:
        above = f'{1000 * cluster["energy_above_lowest"]:.0f} meV/atom above the lowest'
        yield f'Cluster {cluster["number"]} of {cluster["n_clusters"]}: {cluster["size"]} frames, {above}'
    elif pool and not cluster:
        yield 'It belonged to no cluster: its relaxation had not ended in a minimum.'


def _seen_by(potentials: list[dict[str, Any]], prediction: Mapping[str, Any] | None) -> Iterator[str]:
    if not potentials:
        yield 'No potential had seen it.'
        return
    models = ', '.join(f'{item["name"]}<{item["pk"]}>' for item in potentials)
    yield f'Seen by: {models} ({potentials[0]["architecture"]}, trained on {potentials[0]["n_training"]} labels)'
    if prediction is None:
        yield 'No prediction is stored for the very positions that were labelled.'
        return
    words = [f'{prediction["energy_per_atom"]:.4f} eV/atom']
    if prediction['energy_spread_per_atom'] is not None:
        words.append(f'spread {1000 * prediction["energy_spread_per_atom"]:.0f} meV/atom')
    if prediction['max_force_spread'] is not None:
        words.append(f'largest force spread {prediction["max_force_spread"]:.2f} eV/Å')
    yield f'Predicted: {", ".join(words)}'


def _outcome(label: Mapping[str, Any]) -> Iterator[str]:
    reason = f': {label["reason"]}' if label['reason'] else ''
    if label.get('energy_per_atom') is None:
        yield f'Label: {label["status"]}{reason}'
    else:
        values = f'{label["energy_per_atom"]:.4f} eV/atom, largest force {label["max_force"]:.2f} eV/Å'
        yield f'Label: {label["status"]}, {values}{reason}'
    if label.get('error_of_prediction') is not None:
        yield f'The prediction was off by {1000 * label["error_of_prediction"]:+.0f} meV/atom.'
    if label['process'] is not None:
        cost = '' if label['core_seconds'] is None else f', {label["core_seconds"]:.3g} core seconds'
        yield f'Labelled by process {label["process"]} with {label["code"]}{cost}'


def history_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the path to a minimum.

    :param answer: from :func:`aiida_prospect.workflows.provenance.history.trace`.
    """
    minimum, birth, final = answer['minimum'], answer['birth'], answer['final']
    yield (
        f'Minimum {minimum["rank"]} of search {answer["search"]}: {minimum["formula"]}, '
        f'{minimum["space_group_symbol"]} ({minimum["space_group_number"]}), {minimum["energy_per_atom"]:.4f} eV/atom, '
        f'{1000 * minimum["energy_above_best"]:.1f} meV/atom above the best'
    )
    if birth:
        recipe = ', '.join(f'{name} {value}' for name, value in birth['recipe'].items())
        yield f'Begins as: {answer["origin"]}, {birth["kind"]}, {birth["volume_per_atom"]:.1f} Å³/atom'
        place = f'cycle {birth["cycle"]}, frame {birth["frame"]} of pool {birth["pool"]}'
        yield f'  in {place} by {birth["made_by"]}: {recipe}'
    yield ''
    rows = [_stage_row(stage) for stage in answer['path']]
    headers = ('cycle', 'E eV/atom', 'spread meV/atom', 'V Å³/atom', 'steps', 'status', 'cluster')
    yield tabulate(rows, headers, disable_numparse=True)
    yield ''
    for label in answer['labels']:
        energy = '' if label['energy_per_atom'] is None else f', {label["energy_per_atom"]:.4f} eV/atom'
        yield f'Label {label["index"]} in cycle {label["cycle"]}: {label["status"]}{energy}; chosen: {label["chosen"]}'
    entry = final['from']
    source = f'frame {entry["frame"]} of the last pool' if entry['kind'] == 'pool' else f'label {entry["index"]}'
    yield f'Final relaxation, from {source} ({final["chosen"]}): process {final["process"]}, {final["status"]}'
    reason = f'; {final["reason"]}' if final['reason'] else ''
    energy = f'{final["energy_per_atom"]:.4f} eV/atom'
    yield f'  {final["evaluations"]} evaluations of the reference method, {energy}{reason}'


def _stage_row(stage: Mapping[str, Any]) -> tuple[str, ...]:
    if not stage['in_pool']:
        words = 'not relaxed yet' if stage['in_pool'] is None else 'not in the pool'
        return (str(stage['cycle']), '-', '-', '-', '-', words, '-')
    spread = stage['energy_spread_per_atom']
    return (
        str(stage['cycle']),
        number(stage['energy_per_atom'], 4),
        '-' if spread is None else f'{1000 * spread:.1f}',
        number(stage['volume_per_atom'], 2),
        str(stage['steps']),
        stage['status'],
        '-' if stage['cluster'] is None else str(stage['cluster']),
    )


def number(value: float | None, digits: int) -> str:
    """Return a number, or a dash if it is not known."""
    return '-' if value is None else f'{value:.{digits}f}'


def labels_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of labels.

    :param answer: from :func:`aiida_prospect.workflows.provenance.labels.list_labels`.
    """
    rows = [
        (
            str(row['index']),
            str(row['cycle']),
            row['status'],
            number(row['energy_per_atom'], 4),
            number(row['max_force'], 2),
            '-' if row['core_seconds'] is None else f'{row["core_seconds"]:.3g}',
            row['code'] or '-',
            '-' if row['process'] is None else str(row['process']),
            _shorten(row['reason'] or row['chosen']),
        )
        for row in answer['labels']
    ]
    headers = ('', 'cycle', 'status', 'E eV/atom', 'F eV/Å', 'core s', 'code', 'process', 'reason')
    yield tabulate(rows, headers, disable_numparse=True)
    yield ''
    by_status = ', '.join(f'{count} {status}' for status, count in sorted(answer['by_status'].items())) or 'none'
    by_code = ', '.join(f'{count} with {code}' for code, count in sorted(answer['by_code'].items()) if code)
    parts = [by_status, by_code, f'{answer["core_seconds"]:.4g} core seconds']
    yield f'{len(rows)} labels: {"; ".join(part for part in parts if part)}'


def _shorten(text: str) -> str:
    return text if len(text) <= SHORT else f'{text[: SHORT - 1]}…'


def cost_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a search cost.

    :param answer: from :func:`aiida_prospect.workflows.provenance.cost.cost_of`.
    """
    headers = ('stage', 'core s', 'wall s', 'processes', 'jobs', 'failed')
    rows = [_cost_row(stage['stage'], stage) for stage in answer['stages']]
    yield tabulate([*rows, _cost_row('search', answer['total'])], headers, disable_numparse=True)
    yield ''
    rows = [
        _cost_row(f'{cycle["cycle"]} {stage["stage"]}', stage)
        for cycle in answer['cycles']
        for stage in cycle['stages']
        if stage['core_seconds'] is not None
    ]
    if rows:
        yield tabulate(rows, ('cycle', *headers[1:]), disable_numparse=True)
        yield ''
    if answer['takes_up'] is not None:
        yield f'What search {answer["takes_up"]} cost, which this one takes up, is not counted.'
    yield 'Core seconds as the jobs reported them; a dash stands for what runs in AiiDA itself.'


def _cost_row(name: str, costs: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (str(costs[key]) for key in ('processes', 'jobs', 'failed_jobs'))
    return (name, number(costs['core_seconds'], 1), number(costs['wall_seconds'], 1), *counts)
