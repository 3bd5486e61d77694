"""Tests that a search keeps to its core hours; jobs that were run for one search others take from the cache."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_prospect.workflows import explore
from aiida_prospect.workflows.label import calculator, costs
from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.search import SearchWorkChain
from aiida_prospect.workflows.summary import summarise

STAGES = ('label', 'train', 'explore')
# In the two cycles of the search.
N_LABELS = (6, 3)


def seconds_of(search):
    """Return the core seconds of the stages of each cycle."""
    cycles = summarise(search)['cycles']
    return [cycle['core_seconds'] for cycle in cycles]


@pytest.fixture
def run_with(make_builder, search, monkeypatch):
    """Return a function that runs the search once more with so many core seconds.

    What comes from the cache costs nothing; here it is to cost what it cost the first time.
    """
    for module in (costs, calculator, explore):
        monkeypatch.setattr(module, 'is_from_cache', lambda _: False)

    def run(seconds):
        budget = {'max_cycles': 2, 'max_core_hours': seconds / 3600}
        with enable_caching():
            builder = make_builder()
            builder.budget = budget
            return run_get_node(builder)[1]

    return run


@pytest.mark.parametrize(
    ('last', 'made', 'missing', 'words'),
    [
        (('label', 0), 'cycle_00.labels', 'cycle_00.potentials', ' core hours'),
        (('label', 1), 'cycle_01.labels', 'cycle_01.potentials', 'and to train on the last labels would take'),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else '',
)
def test_no_stage_begins_that_there_are_no_core_hours_for(run_with, search, last, made, missing, words):
    """In the first cycle nothing is known of what a stage will take, later no stage begins that would take too much."""
    cycles = seconds_of(search)
    before = sum(sum(cycle[stage] for stage in STAGES) for cycle in cycles[: last[1]])
    spent = before + cycles[last[1]]['label']
    # Labels of the second cycle begin if there is enough for what they would cost at the price of the first.
    needed = cycles[0]['label'] * N_LABELS[1] / N_LABELS[0]
    node = run_with(1.000001 * max(spent, before + needed) if last[1] else 0.999 * spent)
    assert node.exit_status == SearchWorkChain.exit_codes.ERROR_BUDGET_SPENT.status, node.exit_message
    stop = node.outputs.stop.get_dict()
    assert (stop['reason'], words in stop['sentence']) == ('max_core_hours', True), stop['sentence']
    assert stop['spent']['core_hours'] * 3600 == pytest.approx(spent)
    labels = [f'{key}.{name}' for key in node.outputs if key.startswith('cycle_') for name in node.outputs[key]]
    assert made in labels
    assert missing not in labels
    assert len(node.outputs.minima) == 1
    assert node.outputs.ranking['minima'][0]['energy_above_best'] == 0
    assert {stage['stage'] for stage in cost_of(node)['stages']} >= {'assess', 'final'}
    builder = SearchWorkChain.get_builder_restart(node)
    assert builder.restart.cycle.value == last[1]
    assert builder.restart.labels[f'cycle_{last[1]:02d}'].uuid == node.outputs[f'cycle_{last[1]:02d}'].labels.uuid
