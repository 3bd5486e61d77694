"""How a search went: labels, clusters, cost.

Every function returns a figure, or a sentence that says why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.methods.report.style import BLUE, GREEN, GREY, ORANGE, RED, colour_of, cycle_legend, one_panel

STATUS_STYLE = {
    LabelStatus.OK.value: (BLUE, ''),
    LabelStatus.UNCONVERGED.value: (ORANGE, '//'),
    LabelStatus.FAILED.value: (RED, 'xx'),
    LabelStatus.REJECTED.value: (GREY, '..'),
}
STAGE_COLOURS = {'label': BLUE, 'train': ORANGE, 'explore': GREEN, 'final': RED}
RANKS = ('lowest', 'second', 'third', 'fourth', 'fifth')
N_CLUSTERS = len(RANKS)
MAX_CYCLES_AT_AXIS = 10


def best_energy(summary: Mapping[str, Any]) -> float:
    """Return the lowest energy that the reference method found, eV/atom; 0 if there is none."""
    labels = [energy for cycle in summary['cycles'] for energy in cycle['label_energies'] if energy is not None]
    minima = [item['energy_per_atom'] for item in (summary['ranking'] or {}).get('minima', [])]
    return float(min([*labels, *minima], default=0.0))


def draw_labels(summary: Mapping[str, Any]) -> Figure | str:
    """Draw the energies of all labels in the order in which they were made, and the lowest so far."""
    cycles = [cycle for cycle in summary['cycles'] if any(e is not None for e in cycle['label_energies'])]
    if not cycles:
        return 'Nothing has been labelled with success yet.'
    figure, axis = one_panel()
    best, count, lowest, steps = best_energy(summary), 0, np.inf, []
    last = max(cycle['cycle'] for cycle in cycles)
    for cycle in cycles:
        energies = np.array([np.nan if e is None else e for e in cycle['label_energies']], dtype=float)
        numbers = count + 1 + np.arange(len(energies))
        above = 1000 * (energies - best)
        axis.plot(numbers, above, 'o', ms=4, alpha=0.8, color=colour_of(cycle['cycle'], last))
        for number, energy in zip(numbers, above, strict=True):
            lowest = np.fmin(lowest, energy)
            steps.append((number, lowest))
        count += len(energies)
    axis.step(*np.transpose(steps), where='post', color='black', lw=1.3)
    line = Line2D([], [], color='black', lw=1.3, label='lowest so far')
    cycle_legend(axis, [cycle['cycle'] for cycle in cycles], [line])
    _above_best(axis)
    axis.set_xlabel('labels, in their order')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _above_best(axis: Any) -> None:
    axis.set_yscale('symlog', linthresh=10)
    axis.set_ylim(bottom=min(-2.0, axis.get_ylim()[0] if np.isfinite(axis.get_ylim()[0]) else -2.0))
    axis.set_ylabel('energy above the best (meV/atom)')


def draw_clusters(summary: Mapping[str, Any]) -> Figure | str:
    """Draw the energies of the lowest clusters of the pool over the cycles, as each cycle's ensemble sees them."""
    cycles = [cycle for cycle in summary['cycles'] if cycle['lowest_clusters']]
    if not cycles:
        return 'No pool has been relaxed and clustered yet.'
    figure, axis = one_panel()
    best = best_energy(summary)
    numbers = [cycle['cycle'] for cycle in cycles]
    for rank, name in enumerate(RANKS):
        energies = [_item(cycle['lowest_clusters'], rank) for cycle in cycles]
        above = 1000 * (np.array(energies) - best)
        axis.plot(numbers, above, 'o-', ms=4, lw=1.3, color=colour_of(rank, N_CLUSTERS), label=name)
    axis.axhline(0, color='black', lw=0.8)
    axis.set_yscale('symlog', linthresh=10)
    axis.set_xticks(numbers if len(numbers) < 12 else numbers[:: len(numbers) // 8])
    axis.set_xlabel('cycle')
    axis.set_ylabel('energy above the best (meV/atom)')
    axis.legend(handlelength=1.2)
    return figure


def _item(values: Sequence[float], index: int) -> float:
    return values[index] if index < len(values) else np.nan


def draw_status(summary: Mapping[str, Any]) -> Figure | str:
    """Draw how many labels of each cycle are of which status."""
    cycles = [cycle for cycle in summary['cycles'] if cycle['labels']]
    if not cycles:
        return 'There are no labels yet.'
    figure, axis = one_panel()
    numbers = [cycle['cycle'] for cycle in cycles]
    bottom = np.zeros(len(cycles))
    for status, (colour, hatch) in STATUS_STYLE.items():
        counts = np.array([cycle['labels'].get(status, 0) for cycle in cycles])
        if counts.any():
            name = f'{status} ({counts.sum()})'
            axis.bar(numbers, counts, bottom=bottom, color=colour, hatch=hatch, edgecolor='white', label=name)
            bottom += counts
    axis.set_xlabel('cycle')
    axis.set_ylabel('labels')
    axis.set_ylim(0, 1.25 * bottom.max())
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.legend(ncols=2)
    return figure


def draw_cost(cycles: Sequence[Mapping[str, Any]], stages: Sequence[Mapping[str, Any]]) -> Figure | str:
    """Draw core seconds by cycle and stage.

    :param cycles: ``cycle`` and ``stages``, of each ``stage`` and ``core_seconds``.
    :param stages: the same for the whole search.
    """
    total = sum(stage['core_seconds'] or 0.0 for stage in stages)
    if not total:
        return 'No job has reported a cost yet.'
    figure, axis = one_panel()
    unit, divisor = ('core hours', 3600.0) if total > 7200 else ('core seconds', 1.0)
    numbers = [int(cycle['cycle']) for cycle in cycles]
    # So many of them that they do not run into each other, and the end apart from the last.
    step = 1 + len(numbers) // MAX_CYCLES_AT_AXIS
    final = max(numbers, default=0) + 1 + step
    bottom = np.zeros(len(numbers) + 1)
    for stage, colour in STAGE_COLOURS.items():
        values = [_of_stage(cycle['stages'], stage) / divisor for cycle in cycles] + [0.0]
        if stage == 'final':
            values[-1] = _of_stage(stages, stage) / divisor
        if any(values):
            axis.bar([*numbers, final], values, bottom=bottom, color=colour, label=stage)
            bottom += values
    axis.set_xticks([*numbers[::step], final], [*map(str, numbers[::step]), 'final'])
    axis.set_xlabel('cycle')
    axis.set_ylabel(unit)
    axis.set_ylim(0, 1.2 * bottom.max())
    axis.legend(ncols=2)
    return figure


def _of_stage(stages: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(stage['core_seconds'] or 0.0 for stage in stages if stage['stage'] == name)
