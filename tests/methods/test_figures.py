"""Tests for the picture of a search."""

from matplotlib.figure import Figure

from aiida_prospect.methods import figures


def test_cycles_without_labels_are_not_in_the_legend():
    """At the end of a search there are many of them."""
    energies = [[-1.0, None], [-1.5], [], []]
    summary = {'cycles': [{'cycle': number, 'label_energies': item} for number, item in enumerate(energies)]}
    axis = Figure().subplots()
    figures._draw_labels(axis, summary, -1.5)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ['cycle 0', 'cycle 1', 'lowest so far']
