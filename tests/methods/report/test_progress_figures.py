"""Tests that figures of how a search went can be read, however long it was."""

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aiida_prospect.methods.report.progress_figures import draw_cost
from aiida_prospect.methods.report.style import report_style


@pytest.mark.parametrize('number', [1, 2, 9, 14, 41, 100])
def test_cycles_at_the_axis_of_the_cost_do_not_run_into_each_other(number):
    stages = [{'stage': 'label', 'core_seconds': 10.0}, {'stage': 'final', 'core_seconds': 50.0}]
    with report_style():
        figure = draw_cost([{'cycle': cycle, 'stages': stages[:1]} for cycle in range(number)], stages)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    labels = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent(canvas.get_renderer()) for label in labels]
    assert labels[-1].get_text() == 'final'
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
