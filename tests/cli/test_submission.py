"""Tests that what is handed over to the daemon is, or that one is told why not."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.engine.daemon.client import DaemonClient
from click.testing import CliRunner

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.workflows.search import SearchWorkChain

ADVICE = 'Start the daemon with `verdi daemon start`, or give `--run` instead of `--submit`.'


@pytest.fixture
def search(python_code):
    """Return a function that types a search to be submitted."""

    def run(*arguments):
        return CliRunner().invoke(
            cmd_root, ['search', 'Si4', '--python', python_code.full_label, '--submit', *arguments]
        )

    return run


@pytest.fixture
def submitted(monkeypatch):
    """Return the builders that are handed over to a daemon that is not there."""
    builders = []

    def submit(builder):
        builders.append(builder)
        return orm.WorkChainNode().store()

    monkeypatch.setattr('aiida.engine.submit', submit)
    return builders


def refuse_connections(builder):
    raise ConnectionError('Connection refused by amqp://127.0.0.1')


def test_profile_without_broker(search):
    """Nothing is left behind, neither a process nor a group."""
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    done = search('--group', 'never made')
    assert done.exit_code == 1
    assert 'Cannot submit because the runner does not have a process controller' in done.output
    assert ADVICE in done.output
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before
    with pytest.raises(NotExistent):
        orm.load_group('never made')


def test_broker_that_is_away(search, monkeypatch):
    monkeypatch.setattr('aiida.engine.submit', refuse_connections)
    done = search()
    assert done.exit_code == 1
    assert f'Error: Connection refused by amqp://127.0.0.1\n{ADVICE}' in done.output


@pytest.mark.parametrize('runs', [False, True], ids=['stopped', 'running'])
def test_daemon_that_is_not_running(search, submitted, monkeypatch, runs):
    monkeypatch.setattr(DaemonClient, 'is_daemon_running', runs)
    done = search()
    assert done.exit_code == 0
    assert 'submitted search' in done.output
    warned = 'the daemon is not running: the search begins after `verdi daemon start`' in done.output
    assert warned is not runs


def test_audit(aiida_profile, monkeypatch, submitted):
    node = orm.WorkChainNode(process_type=SearchWorkChain.build_process_type()).store()
    monkeypatch.setattr('aiida_prospect.cli.audit._builder', lambda process, **choices: process)
    done = CliRunner().invoke(cmd_root, ['audit', str(node.pk), '--submit'])
    assert done.exit_code == 0
    assert [builder.pk for builder in submitted] == [node.pk]
    assert 'the daemon is not running: the audit begins after `verdi daemon start`' in done.output
    monkeypatch.setattr('aiida.engine.submit', refuse_connections)
    assert ADVICE in CliRunner().invoke(cmd_root, ['audit', str(node.pk), '--submit']).output


def test_overrides_reach_the_inputs(search, submitted, tmp_path):
    """A number as one writes it, an empty section, and an empty mapping that what was typed is laid over."""
    path = tmp_path / 'overrides.yaml'
    path.write_text('explore: {parameters: {fmax: 2e-2}}\nlabel:\nsearch:\n  budget:\n')
    assert search('--overrides', str(path), '--max-labels', '40').exit_code == 0
    assert submitted[0].explore.parameters['fmax'] == 2e-2
    assert submitted[0].budget['max_labels'] == 40


@pytest.mark.usefixtures('submitted')
def test_a_restart_of_what_may_still_run_is_warned_of(aiida_profile):
    for state, is_warned in (('running', True), ('killed', False)):
        node = orm.WorkChainNode(process_type=SearchWorkChain.build_process_type())
        node.set_process_label(SearchWorkChain.__name__)
        node.set_process_state(state)
        node.store()
        done = CliRunner().invoke(cmd_root, ['restart', str(node.pk), '--submit'])
        assert done.exit_code == 0
        assert (f'search {node.pk} has not ended' in done.output) == is_warned
        node.set_process_state('killed')
