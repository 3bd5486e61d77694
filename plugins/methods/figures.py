"""Pictures of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.crystal_pictures import draw_crystal
from aiida_prospect.methods.report.style import colour_of, cycle_legend

N_PICTURES = 3


def draw_search(summary: Mapping[str, Any], minima: Frames | None, path: Path) -> None:
    """Draw how a search went and what it found.

    :param summary: from :func:`aiida_prospect.workflows.summary.summarise`.
    :param minima: the ranked minima, the lowest first.
    :param path: the ending decides the format.
    """
    shown = min(N_PICTURES, 0 if minima is None else len(minima))
    figure = Figure(figsize=(9 + 2.8 * shown, 4.2), layout='constrained')
    axes = figure.subplots(1, 2 + shown, width_ratios=[1.6, 1.3] + [1] * shown)
    labels = [energy for cycle in summary['cycles'] for energy in cycle['label_energies']]
    known = [energy for energy in labels if energy is not None]
    ranking = summary['ranking']
    best = min([*known, *(item['energy_per_atom'] for item in (ranking or {}).get('minima', []))], default=0.0)
    _draw_labels(axes[0], summary, best)
    _draw_clusters(axes[1], summary, best)
    if minima is not None and ranking:
        for index in range(shown):
            _draw_structure(axes[2 + index], minima, index, ranking['minima'][index])
    formula = ''.join(f'{element}{count}' for element, count in summary['composition'].items())
    cycles = len(summary['cycles'])
    figure.suptitle(f'{formula}: {summary["labels"]["total"]} labels in {cycles} cycle{"s" * (cycles != 1)}')
    figure.savefig(path, dpi=150)


def _draw_labels(axis: Axes, summary: Mapping[str, Any], best: float) -> None:
    """Draw the energies of all labels in the order in which they were made, and the lowest so far."""
    count, lowest, steps = 0, np.inf, []
    cycles = [cycle for cycle in summary['cycles'] if cycle['label_energies']]
    numbers_of_cycles = [cycle['cycle'] for cycle in cycles]
    last = max(numbers_of_cycles, default=0)
    for cycle in cycles:
        energies = np.array([np.nan if value is None else value for value in cycle['label_energies']], dtype=float)
        numbers = count + 1 + np.arange(len(energies))
        axis.plot(numbers, 1000 * (energies - best), 'o', ms=4, alpha=0.8, color=colour_of(cycle['cycle'], last))
        for number, energy in zip(numbers, energies, strict=True):
            lowest = np.fmin(lowest, energy)
            steps.append((number, 1000 * (lowest - best)))
        count += len(energies)
    if steps:
        line = axis.step(*np.transpose(steps), where='post', color='black', lw=1.2, label='lowest so far')
        cycle_legend(axis, numbers_of_cycles, line)
    axis.set_yscale('symlog', linthresh=10)
    axis.set_ylim(bottom=-2)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlabel('labels')
    axis.set_ylabel('energy above the best (meV/atom)')
    axis.set_title('what was labelled', fontsize=10)


def _draw_clusters(axis: Axes, summary: Mapping[str, Any], best: float) -> None:
    """Draw the energies of the lowest clusters after each cycle, as the ensemble of that cycle sees them."""
    for cycle in summary['cycles']:
        energies = 1000 * (np.array(cycle['lowest_clusters']) - best)
        axis.plot([cycle['cycle']] * len(energies), energies, '_', ms=16, color='tab:blue')
    axis.axhline(0, color='black', lw=0.8)
    axis.set_xticks([cycle['cycle'] for cycle in summary['cycles']])
    axis.set_xlabel('cycle')
    axis.set_ylabel('energy above the best (meV/atom)')
    axis.set_title('the ten lowest clusters of the pool', fontsize=10)


def _draw_structure(axis: Axes, minima: Frames, index: int, facts: Mapping[str, Any]) -> None:
    draw_crystal(axis, minima[index])
    names = ', '.join(match['name'] for match in facts.get('references') or [])
    title = f'{facts["space_group_symbol"]}\n+{1000 * facts["energy_above_best"]:.0f} meV/atom'
    axis.set_title(f'{title}\n{names}' if names else title, fontsize=10)
