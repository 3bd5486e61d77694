"""Figures: the lowest label against the number of labels, beside what random search expects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.label_efficiency.rates import energies_of_labels, window_of

COLOURS = {
    'prospect': '#0072b2',
    'laqa': '#e69f00',
    'laqa-published': '#d55e00',
    'random': '#009e73',
    'uncertainty': '#cc79a7',
    'baseline': '#555555',
}
FLOOR = 1e-3
DRAWS = 400


def lowest_so_far(result: dict[str, Any]) -> np.ndarray:
    """Return the lowest label after each that was computed, eV/atom above the target; infinite while there is none."""
    return np.minimum.accumulate(energies_of_labels(result))


def expected_of_baseline(results: Sequence[dict[str, Any]], at: np.ndarray) -> np.ndarray:
    """Return the median over drawn orders of the lowest minimum of random search after so many evaluations."""
    heights = np.concatenate([np.array([np.inf if h is None else h for h in r['heights']]) for r in results])
    spent = np.concatenate([np.array(r['evaluations']) for r in results])
    rng = np.random.default_rng(0)
    curves = []
    for _ in range(DRAWS):
        drawn = rng.integers(len(heights), size=len(heights))
        ends, lowest = np.cumsum(spent[drawn]), np.minimum.accumulate(heights[drawn])
        place = np.searchsorted(ends, at, side='right') - 1
        curves.append(np.where(place >= 0, lowest[np.maximum(place, 0)], np.inf))
    return np.asarray(np.median(curves, axis=0))


def draw(title: str, searches: dict[str, list[dict[str, Any]]], baseline: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the curves of one system and kind of pool.

    :param searches: results by method.
    """
    # The same numbers make the same file.
    mpl.rcParams.update({'svg.hashsalt': 'prospect', 'svg.fonttype': 'none'})
    figure = Figure(figsize=(5.2, 3.4), layout='constrained')
    axes = figure.add_subplot()
    for name, results in searches.items():
        colour = COLOURS.get(name, '#000000')
        for number, result in enumerate(results):
            curve = np.maximum(lowest_so_far(result), FLOOR)
            label = f'{name} ({len(results)})' if not number else None
            steps = np.arange(1, len(curve) + 1)
            axes.plot(steps, curve, drawstyle='steps-post', color=colour, lw=1.1, alpha=0.75, label=label)
    if baseline:
        at = np.unique(np.geomspace(10, sum(sum(r['evaluations']) for r in baseline), 60).astype(int))
        curve = np.maximum(expected_of_baseline(baseline, at), FLOOR)
        shown = np.isfinite(curve)
        words = 'random search, median'
        axes.plot(at[shown], curve[shown], color=COLOURS['baseline'], ls='--', lw=1.4, label=words)
    window = window_of(next(iter(searches.values()))[0])
    axes.axhline(window, color='#aaaaaa', lw=0.8)
    axes.set(xscale='log', yscale='log', xlabel='labels or evaluations', title=title)
    axes.set_ylabel('lowest above the target, eV/atom')
    axes.legend(frameon=False, fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={'Date': None})
