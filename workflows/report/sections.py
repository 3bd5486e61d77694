"""The parts of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aiida_prospect.methods.calibration import calibrate
from aiida_prospect.methods.parity import Comparison
from aiida_prospect.methods.report import progress_figures, quality_figures
from aiida_prospect.methods.report.page import Picture, Section
from aiida_prospect.methods.report.pool_map import draw_map
from aiida_prospect.methods.report.style import report_style
from aiida_prospect.workflows.report.material import Material, landscape, learning_curves

MAX_REASONS = 20


def draw(function: Callable[..., Figure | str], *arguments: Any) -> Figure | str:
    """Draw in the style of the report."""
    with report_style():
        return function(*arguments)


def course(material: Material) -> Section:
    """Tell how the search went, cycle by cycle."""
    summary = material.summary
    energies = [e for cycle in summary['cycles'] for e in cycle['label_energies'] if e is not None]
    best = f'{min(energies):.4f} eV/atom' if energies else 'not known'
    counts = ', '.join(f'{count} {status}' for status, count in sorted(summary['labels']['by_status'].items()))
    n_cycles = len(summary['cycles'])
    pictures = [
        Picture(
            'labels',
            'Energies of the labels',
            draw(progress_figures.draw_labels, summary),
            f'Energies of {len(energies)} labels in the order in which they were made; the lowest is {best}.',
            'Each point is a structure that was given to the reference method; the line is the lowest so far. Linear '
            'below 10 meV/atom, logarithmic above.',
        ),
        Picture(
            'clusters',
            'The lowest clusters',
            draw(progress_figures.draw_clusters, summary),
            f'Energies of the {progress_figures.N_CLUSTERS} lowest clusters of the pool over {n_cycles} cycles.',
            'As the ensemble of each cycle sees them: what lies below zero is a promise that no label has kept.',
        ),
        Picture(
            'status',
            'Labels by cycle and status',
            draw(progress_figures.draw_status, summary),
            f'Numbers of labels by cycle and status: {counts or "none"}.',
        ),
    ]
    rows = [
        (
            str(cycle['cycle']),
            str(cycle['n_labels']),
            _number(cycle['lowest_label']),
            _number((cycle['pool'] or {}).get('lowest_energy')),
            (cycle['assessment'] or {}).get('reason', 'not assessed yet'),
        )
        for cycle in summary['cycles']
    ]
    header = ('cycle', 'labels', 'lowest label, eV/atom', 'lowest of the pool, eV/atom', 'assessment')
    return Section('course', 'How the search went', _taken_up(material), pictures, header, rows)


def _taken_up(material: Material) -> list[str]:
    earlier = material.cost['takes_up']
    if earlier is None:
        return []
    return [f'This search takes up search {earlier}; the first section shows only what was done since.']


def quality(material: Material) -> Section:
    """Tell how good the ensembles were."""
    parity = material.parity
    pictures = [
        Picture(
            f'parity_{name}',
            f'{name.capitalize()} before training',
            draw(quality_figures.draw_parity, name, comparisons),
            _alt_of_parity(name, comparisons),
            _missing(name, comparisons),
        )
        for name, comparisons in parity.items()
    ]
    calibration = calibrate(material.labels[max(material.labels)]) if material.labels else None
    ratio = 'not known' if calibration is None or not np.isfinite(calibration.ratio) else f'{calibration.ratio:.1f}'
    pictures.append(
        Picture(
            'calibration',
            'Spread against true error',
            draw(quality_figures.draw_calibration, material.labels),
            f'True error over spread of the ensemble; in the last cycle the error is {ratio} times the spread.',
            'Above the full line the ensemble is too sure of itself.',
        )
    )
    for name in ('energy', 'forces'):
        pictures.append(
            Picture(
                f'learning_{name}',
                f'Learning curve, {name}',
                draw(quality_figures.draw_learning, name, parity[name], material.trainings),
                f'Errors of the {name} over the number of labels trained on.',
                'The two are errors on different frames: candidates have been relaxed, the data of a training holds '
                'random crystals too.',
            )
        )
    cycle, curves = learning_curves(material.cycles)
    if curves:
        drawing = draw(quality_figures.draw_curves, curves, cycle)
        title, alt = (
            'Training of the last networks',
            f'Errors of forces over the steps of the training of cycle {cycle}.',
        )
        pictures.append(Picture('training', title, drawing, alt))
    words = [
        'Before a candidate was labelled, the ensemble of the cycle before had predicted it. These are errors on what '
        'the ensemble had not been trained on.'
    ]
    header = ('cycle', 'labels', 'predicted', 'energy, meV/atom', 'forces, eV/Å', 'stress, eV/Å³')
    rows = [_errors(*items) for items in zip(*parity.values(), strict=True)]
    return Section('quality', 'How good the ensembles were', words, pictures, header, rows)


def _errors(energy: Comparison, forces: Comparison, stress: Comparison) -> tuple[str, ...]:
    values = (1000 * energy.mean_error, forces.mean_error, stress.mean_error)
    texts = [
        f'{value:.{digits}f}' if np.isfinite(value) else '-' for value, digits in zip(values, (1, 3, 4), strict=True)
    ]
    return (str(energy.cycle), str(energy.n_labels), str(energy.n_compared), *texts)


def _alt_of_parity(name: str, comparisons: Sequence[Comparison]) -> str:
    shown = [item for item in comparisons if len(item.true)]
    if not shown:
        return f'No predictions of the {name}.'
    error = f'{shown[-1].mean_error:.3g} {quality_figures.UNITS[name]}'
    return f'Predicted {name} over that of the label for {len(shown)} cycles; mean absolute error in the last: {error}.'


def _missing(name: str, comparisons: Sequence[Comparison]) -> str:
    """Say of how many labels no prediction is stored, and why."""
    total, compared = (sum(getattr(item, key) for item in comparisons) for key in ('n_labels', 'n_compared'))
    if compared == total:
        return f'All {total} labels are shown.'
    return (
        f'{compared} of {total} labels are shown. Of the others no {name} was predicted: in cycle 0 there is no '
        'ensemble, and displaced candidates are not evaluated before they are labelled.'
    )


def pool_map(material: Material) -> Section:
    """Draw the last pool."""
    land, minima = landscape(material), material.minima
    names = [str(rank) for rank in range(0 if minima is None else len(minima))]
    if land is None:
        drawing: Figure | str = 'There is no pool yet.'
        words = []
    else:
        drawing = draw(draw_map, land.pool, land.energies, land.labelled, land.minima, names)
        when = 'as it was made' if land.cycle is None else f'after the relaxation of cycle {land.cycle}'
        words = [
            f'The pool {when}. Crystals that are alike lie close to each other: the map is the plane in which the '
            'fingerprints of the pool vary most. Numbers are those of the minima.'
        ]
    alt = f'Map of {0 if land is None else len(land.pool)} crystals by likeness; {len(names)} minima are marked.'
    return Section('map', 'A map of the pool', words, [Picture('map', 'Fingerprints in two dimensions', drawing, alt)])


def cost(material: Material) -> Section:
    """Tell what the search cost."""
    found = material.cost
    drawing = draw(progress_figures.draw_cost, found['cycles'], found['stages'])
    total = found['total']
    alt = f'Core seconds by cycle and stage, {total["core_seconds"] or 0:.0f} in all.'
    rows = [
        (
            stage['stage'],
            '-' if stage['core_seconds'] is None else f'{stage["core_seconds"]:.1f}',
            f'{stage["wall_seconds"]:.1f}',
            str(stage['jobs']),
            str(stage['failed_jobs']),
        )
        for stage in (*found['stages'], {'stage': 'search', **total})
    ]
    words = ['Core seconds are what the jobs reported; a dash stands for what runs in AiiDA itself.']
    if found['takes_up'] is not None:
        words.append(f'What search {found["takes_up"]} cost, which this one takes up, is not counted.')
    header = ('stage', 'core seconds', 'wall seconds', 'jobs', 'failed jobs')
    return Section('cost', 'What it cost', words, [Picture('cost', 'By cycle and stage', drawing, alt)], header, rows)


def losses(material: Material) -> Section:
    """List the labels and final relaxations that came to nothing, by reason."""
    counts: Counter[tuple[str, str]] = Counter()
    for frames in material.labels.values():
        for status, reason in zip(frames.known('status').tolist(), frames.known('reason').tolist(), strict=True):
            if status != 'ok':
                counts[status, reason] += 1
    for item in (material.summary['ranking'] or {}).get('failed', []):
        counts['final relaxation', item['reason']] += 1
    if not counts:
        return Section('losses', 'What failed', ['No label and no final relaxation failed.'])
    rows = [(status, str(count), reason) for (status, reason), count in counts.most_common(MAX_REASONS)]
    words = [f'The {MAX_REASONS} most frequent reasons of {len(counts)}.'] if len(counts) > MAX_REASONS else []
    return Section('losses', 'What failed', words, header=('what', 'how often', 'why'), rows=rows)


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.4f}'
