"""How good the ensembles were: on labels that they had not seen, and on those that they were trained on.

Every function returns a figure, or a sentence that says why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.calibration import MEDIAN_OF_NORMAL, usable_labels
from aiida_prospect.methods.parity import Comparison
from aiida_prospect.methods.report.style import (
    BLUE,
    MANY,
    ORANGE,
    colour_of,
    cycle_legend,
    one_panel,
    readable_log_ticks,
)

UNITS = {'energy': 'eV/atom', 'forces': 'eV/Å', 'stress': 'eV/Å³'}
MAX_POINTS = 20000
FAR_OUT = 1.5


def draw_parity(name: str, comparisons: Sequence[Comparison]) -> Figure | str:
    """Draw what the ensemble predicted for the new labels of each cycle over what they turned out to be."""
    shown = [comparison for comparison in comparisons if len(comparison.true)]
    if not shown:
        return f'No {name} of a candidate was predicted before it was labelled, or no prediction is stored.'
    figure, axis = one_panel()
    axis.grid(False)
    every = 1 + sum(len(comparison.true) for comparison in shown) // MAX_POINTS
    low, high = _limits(np.concatenate([np.concatenate([item.true, item.predicted]) for item in shown]))
    last, n_outside = shown[-1].cycle, 0
    for comparison in shown:
        pairs = np.array([comparison.true[::every], comparison.predicted[::every]])
        outside = np.any((pairs < low) | (pairs > high), axis=0)
        n_outside += int(outside.sum())
        style = {'color': colour_of(comparison.cycle, last), 'alpha': 0.7, 'rasterized': pairs.shape[1] > MANY // 5}
        axis.plot(*pairs[:, ~outside], '.', ms=5, **style)
        axis.plot(*np.clip(pairs[:, outside], low, high), 'x', ms=6, clip_on=False, **style)
    axis.plot([low, high], [low, high], color='black', lw=0.9)
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    axis.locator_params(nbins=6)
    if n_outside:
        axis.set_title(f'{n_outside} farther out (crosses on the border)', fontsize=9)
    axis.set_xlabel(f'{name} of the label ({UNITS[name]})')
    axis.set_ylabel(f'predicted ({UNITS[name]})')
    cycle_legend(axis, [comparison.cycle for comparison in shown])
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the range to draw: of all values, or of most of them if a few would make it several times wider."""
    low, high = float(np.min(values)), float(np.max(values))
    first, last = np.quantile(values, [0.05, 0.95])
    width = float(last - first)
    if width and high - low > FAR_OUT * width:
        low, high = max(low, float(first) - width / 2), min(high, float(last) + width / 2)
    margin = 0.05 * (high - low) or 0.1
    return low - margin, high + margin


def draw_calibration(cycles: Mapping[int, Frames]) -> Figure | str:
    """Draw the true error of the predicted energy over the spread of the ensemble, for labels not yet trained on.

    :param cycles: labels by cycle.
    """
    samples = {number: _errors_and_spreads(labels) for number, labels in cycles.items()}
    samples = {number: pair for number, pair in samples.items() if len(pair[0])}
    if not samples:
        return 'No label carries both a predicted energy and a spread.'
    figure, axis = one_panel()
    last = max(samples)
    for number, (error, spread) in samples.items():
        axis.plot(1000 * spread, 1000 * error, 'o', ms=4, alpha=0.8, color=colour_of(number, last))
    errors, spreads = (np.concatenate([pair[part] for pair in samples.values()]) for part in (0, 1))
    ends = 1000 * np.array([spreads.min(), spreads.max()])
    ratio = float(np.median(errors / spreads) / MEDIAN_OF_NORMAL)
    lines = [
        axis.plot(ends, ends, color='black', lw=1.0, label='error = spread')[0],
        axis.plot(ends, ratio * ends, color='black', lw=1.0, ls='--', label=f'error = {ratio:.1f} × spread')[0],
    ]
    axis.set_xscale('log')
    axis.set_yscale('log')
    readable_log_ticks(axis.xaxis)
    readable_log_ticks(axis.yaxis)
    axis.set_xlabel('spread of the ensemble (meV/atom)')
    axis.set_ylabel('true error (meV/atom)')
    cycle_legend(axis, sorted(samples), lines)
    return figure


def _errors_and_spreads(labels: Frames) -> tuple[np.ndarray, np.ndarray]:
    if labels.energy_initial is None or labels.energy_spread is None or labels.energy is None:
        return np.empty(0), np.empty(0)
    error = np.abs(labels.energy - labels.energy_initial) / labels.n_atoms
    spread = labels.energy_spread / labels.n_atoms
    known = usable_labels(labels) & (np.nan_to_num(error) > 0) & (np.nan_to_num(spread) > 0)
    return error[known], spread[known]


def draw_learning(name: str, comparisons: Sequence[Comparison], trainings: Sequence[Mapping[str, Any]]) -> Figure | str:
    """Draw errors over the number of labels: on the next labels before training, and on the training's own data.

    :param trainings: for each cycle ``cycle``, ``n_training`` and ``errors`` by member; of energies in eV/atom, of
        forces in eV/Å.
    """
    sizes = {training['cycle']: training['n_training'] for training in trainings}
    own = [
        (training['n_training'], float(np.mean([member[name] for member in training['errors'].values()])))
        for training in trainings
        if training['errors'] and all(name in member for member in training['errors'].values())
    ]
    new = [
        (sizes[item.cycle - 1], item.mean_error) for item in comparisons if len(item.true) and item.cycle - 1 in sizes
    ]
    if not own and not new:
        return 'No ensemble has been trained yet.'
    figure, axis = one_panel()
    factor, unit = (1000, 'meV/atom') if name == 'energy' else (1, UNITS[name])
    tested_on = ', '.join(sorted({str(training['tested_on']) for training in trainings}))
    _curve(axis, new, factor, 'o-', BLUE, 'next labels, before training (mean absolute)')
    _curve(axis, own, factor, 's--', ORANGE, f'{tested_on} frames (root mean square)')
    axis.set_yscale('log')
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axis.set_xlabel('labels trained on')
    axis.set_ylabel(f'error of the {name} ({unit})')
    low, high = axis.get_ylim()
    # Room for the legend above the curves.
    axis.set_ylim(low, high * (high / low) ** 0.3)
    readable_log_ticks(axis.yaxis)
    axis.legend(loc='upper right')
    return figure


def _curve(
    axis: Axes, points: Sequence[tuple[float, float]], factor: float, style: str, colour: str, name: str
) -> None:
    if points:
        numbers, errors = np.transpose(points)
        axis.plot(numbers, factor * errors, style, ms=5, lw=1.3, color=colour, label=name)


def draw_curves(curves: Mapping[str, Mapping[str, np.ndarray]], cycle: int) -> Figure | str:
    """Draw the errors of forces while the networks of a cycle were trained.

    :param curves: by member, columns of DeePMD-kit's ``lcurve.out`` by name.
    """
    figure, axis = one_panel()
    for number, (member, curve) in enumerate(sorted(curves.items())):
        names = [name for name in ('rmse_f_val', 'rmse_f_trn', 'rmse_f') if name in curve]
        for name, style in zip(names, ('-', ':'), strict=False):
            colour = colour_of(number, len(curves))
            axis.plot(curve['step'], curve[name], style, lw=1.2, color=colour, label=f'{member}, {_subset(name)}')
    if not axis.lines:
        return 'The force field that was trained keeps no learning curves.'
    axis.set_yscale('log')
    axis.set_xlabel(f'training step of cycle {cycle}')
    axis.set_ylabel('error of the forces (eV/Å)')
    axis.legend()
    return figure


def _subset(name: str) -> str:
    return 'validation' if name.endswith('val') else 'training'
