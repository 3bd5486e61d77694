"""What all figures of a report have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

# Narrow, with large letters: on a telephone a figure is as wide as the screen and must still be legible.
WIDTH, HEIGHT = 4.6, 3.6
STYLE = {
    'font.size': 10.5,
    'axes.labelsize': 10.5,
    'legend.fontsize': 9.0,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '0.9',
    'axes.axisbelow': True,
    # Letters stay letters: smaller files, and they can be searched.
    'svg.fonttype': 'none',
    'svg.hashsalt': 'aiida-prospect',
}
# Distinct also in grey and for most kinds of colour blindness (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, RED, GREY = '#0072b2', '#e69f00', '#009e73', '#d55e00', '#999999'
# More points than this are drawn as pixels.
MANY = 1500
MAX_CYCLES_IN_LEGEND = 6
# Of the colour map; yellow on white is hard to see.
LIGHTEST = 0.8


@contextmanager
def report_style() -> Iterator[None]:
    """Draw with the style of the report; also what is saved must be saved inside."""
    with rc_context(STYLE):
        yield


def one_panel() -> tuple[Figure, Axes]:
    """Return a figure with one set of axes."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout='constrained')
    return figure, figure.subplots()


def colour_of(cycle: int, last: int) -> tuple[float, float, float, float]:
    """Return the colour of a cycle, from dark to light."""
    return tuple(colormaps['viridis'](LIGHTEST * cycle / max(last, 1)))  # type: ignore[return-value]


def cycle_legend(axis: Axes, cycles: list[int], others: list[Line2D] | None = None) -> None:
    """Tell the colours of cycles; of many, a few."""
    last = max(cycles, default=0)
    shown = cycles
    if len(cycles) > MAX_CYCLES_IN_LEGEND:
        picked = np.linspace(0, len(cycles) - 1, MAX_CYCLES_IN_LEGEND).round().astype(int)
        shown = [cycles[index] for index in picked]
    dots = [Line2D([], [], ls='', marker='o', ms=5, color=colour_of(c, last), label=f'cycle {c}') for c in shown]
    axis.legend(handles=[*dots, *(others or [])], handletextpad=0.3, borderpad=0.3)


def readable_log_ticks(axis: Axis) -> None:
    """Write numbers that do not run into each other on a logarithmic axis, however short it is."""
    axis.set_minor_formatter(NullFormatter())
    low, high = axis.get_view_interval()
    if high / low < 200:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 30 else (1.0, 3.0)))
        axis.set_major_formatter(FormatStrFormatter('%g'))
