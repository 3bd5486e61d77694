"""Tests for searches that begin with labels that are there already."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.cli.tables import summary_lines
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.formats import write_frames
from aiida_prospect.methods.initial_labels import read_labels
from aiida_prospect.workflows.audit_inputs import audit_builder
from aiida_prospect.workflows.search import SearchWorkChain
from aiida_prospect.workflows.search_inputs import begin_with_labels
from aiida_prospect.workflows.summary import summarise

N_GIVEN = 8
SMALL = {
    'search': {'budget': {'max_cycles': 1, 'max_labels': 20}, 'final': {'n_minima': 1}},
    'pool': {'n_structures': 10},
    'selection': {'selection': {'n_initial': N_GIVEN}},
    'explore': {'parameters': {'max_steps': 3}},
    'label': {'relax': {'max_steps': 2}},
}
PKS: dict[str, int] = {}


@pytest.fixture
def make_builder(python_code, generate_frames):
    """Return a factory of builders of a small search that begins with labels."""

    def factory(frames=None, **selection):
        overrides = {**SMALL, 'selection': {'selection': {**SMALL['selection']['selection'], **selection}}}
        builder = SearchWorkChain.get_builder_from_protocol(
            {'Si': 4},
            code=python_code,
            label_options={'code': python_code, 'arguments': {'potential': 'Si_Stillinger_Weber'}},
            protocol='fast',
            overrides=overrides,
        )
        given = generate_frames('Si4', N_GIVEN, labelled=True) if frames is None else frames
        begin_with_labels(builder, [DatasetData(given, label='mine.extxyz')])
        return builder

    return factory


@pytest.fixture
def search(make_builder):
    """Return a search that has run, the same for all tests."""
    if 'search' not in PKS:
        PKS['search'] = run_get_node(make_builder())[1].pk
    return orm.load_node(PKS['search'])


def test_given_labels_are_in_the_first_training_and_cost_nothing(search):
    assert search.exit_status == SearchWorkChain.exit_codes.ERROR_BUDGET_SPENT.status, search.exit_message
    assert 'labels' not in search.outputs.cycle_00
    report = search.outputs.cycle_00.training_report.get_dict()
    acceptance = search.outputs.cycle_00.acceptance.get_dict()
    assert acceptance['n_frames'] == {'before_00': N_GIVEN}
    assert report['n_training'] + report['n_validation'] == acceptance['n_accepted'] > 0
    assert len(search.outputs.minima) == 1


def test_show_tells_them_apart(search):
    summary = summarise(search)
    assert summary['labels']['total'] == 0
    assert [(item['from'], item['labels']) for item in summary['initial_labels']] == [('mine.extxyz', {'ok': N_GIVEN})]
    text = '\n'.join(summary_lines(summary))
    assert 'Labels: none' in text
    assert f'and {N_GIVEN} ok given, not counted: before_00 mine.extxyz' in text


def test_a_restart_hands_them_on_also_a_restart_of_a_restart(search, make_builder):
    builder = SearchWorkChain.get_builder_restart(search)
    assert builder.restart.labels['before_00'].uuid == search.inputs.restart.labels.before_00.uuid
    assert builder.restart.cycle.value == 1
    again = orm.WorkChainNode(process_type=search.process_type)
    given = builder.restart
    for name, node in (
        ('labels__before_00', given.labels['before_00']),
        ('cycle', given.cycle),
        ('pool', given.pool),
    ):
        again.base.links.add_incoming(node.store(), LinkType.INPUT_WORK, f'restart__{name}')
    again.set_process_label('SearchWorkChain')
    again.store()
    handed_on = SearchWorkChain.get_builder_restart(again).restart
    assert handed_on['labels']['before_00'].uuid == builder.restart.labels['before_00'].uuid
    assert handed_on['cycle'].value == 1


def test_they_are_audited_too(search):
    assert set(audit_builder(search).labels) == {'before_00'}


@pytest.mark.parametrize(('n_initial', 'wanted'), [(N_GIVEN - 2, 0), (N_GIVEN, 0), (N_GIVEN + 5, 5), (100, 20)])
def test_the_first_cycle_asks_for_what_is_missing_within_the_budget(make_builder, n_initial, wanted):
    process = instantiate_process(get_manager().get_runner(), make_builder(n_initial=n_initial))
    process.setup()
    assert process._n_wanted == wanted
    assert process.should_select() is (wanted > 0)
    assert process.should_train()
    assert process._n_labels == 0


def test_labels_of_other_compositions_say_nothing_about_the_lowest(make_builder, generate_frames):
    low = generate_frames('Si4', N_GIVEN, labelled=True)
    process = instantiate_process(get_manager().get_runner(), make_builder(low))
    process.setup()
    assert process._lowest_label == pytest.approx(low.energy_per_atom.min())
    process.inputs.pool.parameters = orm.Dict({**process.inputs.pool.parameters.get_dict(), 'composition': {'Ge': 1}})
    assert process._lowest_label == float('inf')
    assert process._explore_parameters(orm.Dict({'sanity': {}})).get_dict() == {'sanity': {}}


@pytest.mark.parametrize(
    ('formula', 'forget', 'words'),
    [
        ('Ge4', [], 'frames with Ge, the search is for Si'),
        ('Si4', ['forces'], '`before_00` have no forces'),
        ('Si4', ['status'], '`before_00` have no status'),
    ],
)
def test_labels_that_do_not_fit_are_refused(make_builder, generate_frames, formula, forget, words):
    frames = generate_frames(formula, 2, labelled=True).without(*forget)
    with pytest.raises(ValueError, match=words):
        SearchWorkChain(inputs=make_builder(frames))


def test_the_command_reads_files(python_code, generate_frames, tmp_path, monkeypatch, capsys):
    from aiida_prospect.cli import search as commands

    builders = []
    monkeypatch.setattr(commands, '_start', lambda builder, *_: builders.append(builder))
    frames = generate_frames('Si4', 6, labelled=True)
    write_frames(frames, tmp_path / 'a.extxyz')
    write_frames(frames, tmp_path / 'b', 'deepmd/npy')
    arguments = [f'--initial-labels={tmp_path / name}' for name in ('a.extxyz', 'b')]
    command = ['search', 'Si4', '--python', python_code.full_label, *arguments]
    cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    labels = builders[0].restart.labels
    assert [labels[name].label for name in sorted(labels)] == ['a.extxyz', 'b']
    assert all(node.frames.equals(read_labels(tmp_path / 'a.extxyz')) for node in labels.values())
    assert 'not compared' in capsys.readouterr().out
