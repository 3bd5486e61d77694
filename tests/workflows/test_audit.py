"""Tests for audits, on a search of which one label is wrong because of a fault of the reference method that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_prospect.cli import foreground
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.workflows.audit import AuditWorkChain
from aiida_prospect.workflows.audit_inputs import audit_builder
from aiida_prospect.workflows.provenance.label_source import source_of_label
from aiida_prospect.workflows.search import SearchWorkChain

POTENTIAL = 'Si_Zuo_JPCA2020'
NUMBER, ERROR = 6, 1.0
SMALL = {
    'search': {'budget': {'max_cycles': 1}, 'final': {'n_minima': 1}},
    'pool': {'n_structures': 30},
    'selection': {'selection': {'n_initial': 24}},
    'explore': {'parameters': {'max_steps': 5}},
    'label': {'relax': {'max_steps': 3}},
}
PKS: dict[str, Any] = {}


@pytest.fixture
def search(python_code, aiida_code_installed, tmp_path):
    """Return a search with one wrong label, the same for all tests."""
    if 'search' not in PKS:
        faulty = aiida_code_installed(
            label='faulty',
            filepath_executable=str(python_code.filepath_executable),
            with_mpi=False,
            prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={Path(__file__).parent}',
        )
        arguments = {'potential': POTENTIAL, 'marker': str(tmp_path / 'seen'), 'number': NUMBER, 'error': ERROR}
        options = {'code': faulty, 'calculator': 'forgetful:forgetful', 'arguments': arguments, 'elements': ['Si']}
        builder = SearchWorkChain.get_builder_from_protocol(
            {'Si': 4}, code=python_code, label_options=options, protocol='fast', overrides=SMALL
        )
        PKS['search'] = run_get_node(builder)[1].pk
    return orm.load_node(PKS['search'])


@pytest.fixture
def type_command(capsys, monkeypatch):
    """Return a function that types the command and returns what it prints; it runs processes as the tests do."""
    monkeypatch.setattr(foreground, 'run', lambda builder: run_get_node(builder)[1])

    def run(*arguments):
        capsys.readouterr()
        cmd_root.main(['audit', *map(str, arguments)], prog_name='aiida-prospect', standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def audit(search, type_command):
    """Return an audit with recomputation, the same for all tests."""
    if 'audit' not in PKS:
        PKS['text'] = type_command(search.pk, '--recompute', '--protocol', 'balanced')
        PKS['audit'] = orm.QueryBuilder().append(AuditWorkChain, project='id').first(flat=True)
    return orm.load_node(PKS['audit'])


def true_energy(frame):
    atoms = frame.to_atoms()[0]
    atoms.calc = calculator(POTENTIAL)
    return atoms.get_potential_energy()


def test_finds_the_wrong_label_and_no_other(search, audit):
    assert audit.is_finished_ok, audit.exit_message
    rows = audit.outputs.report['frames']
    assert [(row['set'], row['index']) for row in rows if row['verdict'] == 'suspect'] == [('cycle_00', NUMBER)]
    assert len(rows) == len(search.outputs.cycle_00.labels)
    source = source_of_label(search.outputs.cycle_00.labels, NUMBER)
    assert source.process_label == 'EvaluateCalculation'
    assert f'EvaluateCalculation<{source.pk}>' in PKS['text']


def test_recomputation_gives_the_right_energy_and_leaves_the_others_alone(search, audit, type_command):
    (change,) = audit.outputs.changes['frames']
    assert (change['set'], change['index'], change['status']) == ('cycle_00', NUMBER, 'ok')
    assert change['energy']['difference'] == pytest.approx(-ERROR, abs=1e-6)
    assert change['forces']['difference'] == pytest.approx(0, abs=1e-6)
    assert f'{-ERROR:+.4f}' in PKS['text']
    old, new = search.outputs.cycle_00.labels.frames, audit.outputs.corrected.cycle_00.frames
    assert new.energy[NUMBER] == pytest.approx(true_energy(old[NUMBER]), abs=1e-6)
    others = [index for index in range(len(old)) if index != NUMBER]
    assert new.select(others).equals(old.select(others).replace(reason=new.select(others).reason))
    assert PKS['text'].endswith(type_command(audit.pk))


def test_what_an_audit_says_has_provenance_up_to_the_labels(search, audit):
    creator = audit.outputs.report.creator
    used = {link.link_label: link.node.pk for link in creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC)}
    assert used['cycle_00'] == search.outputs.cycle_00.labels.pk
    evaluation = orm.load_node(used['evaluated']).creator
    assert evaluation.process_label == 'LeaveOutCalculation'
    potentials = {potential.uuid for potential in evaluation.inputs.potentials.values()}
    assert potentials == {potential.uuid for potential in search.outputs.cycle_00.potentials.values()}


def test_a_restart_with_corrected_labels_is_audited_on_what_it_was_trained_on_itself(search, audit):
    builder = SearchWorkChain.get_builder_restart(search)
    builder.restart.labels = {**builder.restart.labels, **audit.outputs.corrected}
    builder.budget = orm.Dict({'max_cycles': 2})
    untrained = instantiate_process(get_manager().get_runner(), builder).node
    with pytest.raises(ValueError, match='has trained no ensemble yet'):
        audit_builder(untrained)
    restarted = run_get_node(builder)[1]
    assert 'acceptance' in restarted.outputs.cycle_01, restarted.exit_message
    again = audit_builder(restarted)
    assert again.labels['cycle_00'].uuid == audit.outputs.corrected.cycle_00.uuid
    assert set(again.labels) == {'cycle_00', 'cycle_01'}
    judged = {name: node.uuid for name, node in again.labels.items()}
    inputs = again.acceptance.creator.inputs
    assert judged == {name: inputs[name].uuid for name in inputs if name != 'parameters'}
    for potential in again.potentials.values():
        training = potential.creator.caller.inputs
        assert judged == {name: node.uuid for name, node in training.training.items()}
        assert training.acceptance.uuid == again.acceptance.uuid


def test_a_search_without_an_ensemble_is_refused(search, type_command):
    young = orm.WorkChainNode(process_type=search.process_type, label='young').store()
    with pytest.raises(click.ClickException, match='has trained no ensemble yet'):
        type_command(young.pk)
