"""Tests for what a search cost."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.summary import summarise


def test_stages_add_up_to_the_search(search):
    cost = cost_of(search)
    for name in ('core_seconds', 'jobs', 'processes'):
        assert cost['total'][name] == pytest.approx(sum(stage[name] or 0 for stage in cost['stages']))
    assert cost['total']['core_seconds'] == pytest.approx(summarise(search)['cost']['total'])
    assert sum(stage['wall_seconds'] for stage in cost['stages']) <= cost['total']['wall_seconds'] * 1.01


def test_every_job_is_counted_once(search):
    jobs = [node for node in search.called_descendants if isinstance(node, orm.CalcJobNode)]
    cost = cost_of(search)
    assert cost['total']['jobs'] == len(jobs)
    in_cycles = sum(stage['jobs'] for cycle in cost['cycles'] for stage in cycle['stages'])
    final = next(stage for stage in cost['stages'] if stage['stage'] == 'final')
    assert in_cycles + final['jobs'] == len(jobs)


def test_a_restart_names_what_it_does_not_count(search, restarted_search, capsys):
    cost = cost_of(restarted_search)
    assert cost['takes_up'] == search.pk
    assert [cycle['cycle'] for cycle in cost['cycles']] == [1]
    cmd_root.main(['cost', str(restarted_search.pk)], prog_name='aiida-prospect', standalone_mode=False)
    assert f'What search {search.pk} cost, which this one takes up, is not counted' in capsys.readouterr().out


def test_other_processes_are_refused(search):
    with pytest.raises(ValueError, match='is no search but a CalculatorLabelWorkChain'):
        cost_of(next(node for node in search.called if node.process_label == 'CalculatorLabelWorkChain'))
