"""Tests that what is wrong with an installation is found, each time with a command that mends it."""

import json

import asyncssh
import pytest
from aiida.common.exceptions import AiidaException
from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Computer, InstalledCode, Int, User, WorkChainNode
from aiida.schedulers.plugins.direct import DirectScheduler
from aiida.transports.plugins.local import LocalTransport
from paramiko import SSHException
from sqlalchemy.exc import OperationalError

from aiida_prospect.calculations.runners.versions import MODULES
from aiida_prospect.campaign.codes import check_executable, check_potcars, check_pseudos, check_python, judge_python
from aiida_prospect.campaign.doctor import all_codes, check_machines
from aiida_prospect.campaign.findings import Level
from aiida_prospect.campaign.machines import check_computer, connection
from aiida_prospect.campaign.services import check_broker, check_daemon, check_storage, count_processes_of_daemon
from aiida_prospect.campaign.stranded import FOREGROUND
from aiida_prospect.cli.root import cmd_root


def worst(findings):
    """Return the last finding that is not ok."""
    return [finding for finding in findings if finding.level is not Level.OK][-1]


@pytest.fixture
def transport():
    with LocalTransport(use_login_shell=False) as transport:
        yield transport


def test_a_profile_without_broker_is_told_so(aiida_profile):
    assert check_storage(aiida_profile).level is Level.OK
    broker = check_broker(aiida_profile)
    assert (broker.level, broker.remedy) == (Level.WARNING, 'verdi profile configure-rabbitmq')
    assert list(check_daemon(aiida_profile)) == []


@pytest.mark.usefixtures('aiida_profile')
def test_a_search_in_the_foreground_does_not_wait_for_the_daemon():
    before = count_processes_of_daemon()
    search, job = WorkChainNode(), CalcJobNode()
    job.base.links.add_incoming(search, LinkType.CALL_CALC, 'job')
    for node in (search, job):
        node.set_process_state('waiting')
        node.store()
    assert count_processes_of_daemon() == before + 2
    search.base.extras.set(FOREGROUND, True)
    assert count_processes_of_daemon() == before
    for node in (search, job):
        node.set_process_state('killed')


def test_a_computer_that_works(aiida_localhost):
    findings = list(check_computer(aiida_localhost))
    assert [finding.level for finding in findings] == [Level.OK, Level.OK]
    assert aiida_localhost.get_workdir() in findings[0].message


@pytest.fixture
def make_computer(aiida_profile, tmp_path):
    def make(label, configure=True, **settings):
        values = {'hostname': '127.0.0.1', 'transport_type': 'core.local', 'workdir': str(tmp_path / 'work')}
        computer = Computer(label=label, scheduler_type='core.direct', **{**values, **settings}).store()
        if configure and computer.transport_type == 'core.local':
            computer.configure(use_login_shell=False, safe_interval=0)
        return computer

    return make


def test_a_computer_that_is_not_configured(make_computer):
    (finding,) = check_computer(make_computer('bare', configure=False))
    assert (finding.level, finding.remedy) == (Level.ERROR, 'verdi computer configure core.local bare')


def test_a_computer_that_is_disabled(make_computer):
    computer = make_computer('disabled')
    computer.get_authinfo(User.collection.get_default()).enabled = False
    (finding,) = check_computer(computer)
    assert finding.level is Level.ERROR
    assert finding.remedy.startswith('verdi computer enable disabled')


def test_a_work_directory_that_cannot_be_written(make_computer, tmp_path):
    (tmp_path / 'work').write_text('a file where there should be a folder')
    finding = worst(check_computer(make_computer('blocked')))
    assert finding.level is Level.ERROR
    assert 'cannot be written' in finding.message


@pytest.mark.parametrize('error', [asyncssh.SFTPPermissionDenied('denied'), SSHException('denied')])
def test_errors_of_ssh_libraries_are_findings(make_computer, monkeypatch, error):
    assert not isinstance(error, (OSError, AiidaException))

    def fail(*_, **__):
        raise error

    computer = make_computer(f'ssh-{type(error).__name__}')
    monkeypatch.setattr(LocalTransport, 'putfile', fail)
    finding = worst(check_computer(computer))
    assert finding.level is Level.ERROR
    assert f'cannot be written: {type(error).__name__}: denied' in finding.message
    monkeypatch.setattr(DirectScheduler, 'get_jobs', fail)
    assert f'does not answer: {type(error).__name__}' in worst(check_computer(computer)).message
    monkeypatch.setattr(LocalTransport, 'whoami', fail)
    assert f'cannot be reached by core.local: {type(error).__name__}' in worst(check_computer(computer)).message


def test_codes_are_left_when_the_connection_breaks_and_the_next_computer_is_looked_at(make_computer, monkeypatch):
    def fail(code, transport):
        raise asyncssh.ConnectionLost('gone')

    labels = ('cut-first', 'cut-second')
    codes = {
        InstalledCode(label='cut', computer=make_computer(label), filepath_executable='/usr/bin/python3'): True
        for label in labels
    }
    monkeypatch.setattr('aiida_prospect.campaign.doctor.check_executable', fail)
    found = [item for item in check_machines(codes, needs_deepmd=False) if item.level is Level.ERROR]
    assert [item.subject for item in found] == [f'computer {label}' for label in labels]
    assert {item.message for item in found} == {'broke off: ConnectionLost: gone'}


def test_an_outage_of_the_database_is_not_blamed_on_a_computer(aiida_localhost):
    with pytest.raises(OperationalError), connection(aiida_localhost):
        raise OperationalError('select', {}, ValueError('the server closed the connection'))


def test_a_computer_that_does_not_answer(make_computer):
    computer = make_computer('dead', transport_type='core.ssh')
    computer.configure(port=1, timeout=5, safe_interval=0, look_for_keys=False, allow_agent=False)
    finding = worst(check_computer(computer))
    assert (finding.level, finding.remedy) == (Level.ERROR, 'verdi computer test dead')
    assert 'cannot be reached by core.ssh' in finding.message


def test_a_scheduler_that_is_not_there(make_computer):
    computer = make_computer('queueless')
    computer.scheduler_type = 'core.lsf'
    finding = worst(check_computer(computer))
    assert finding.level is Level.ERROR
    assert 'core.lsf' in finding.subject
    assert 'does not answer' in finding.message


def test_the_interpreter_of_this_environment_has_what_it_needs(python_code, transport):
    assert check_executable(python_code, transport).level is Level.OK
    (finding,) = check_python(python_code, transport, needs_deepmd=True)
    assert finding.level is Level.OK
    for name in MODULES:
        assert name in finding.message


def test_an_executable_that_is_not_there(aiida_localhost, transport):
    code = InstalledCode(label='ghost', computer=aiida_localhost, filepath_executable='/nowhere/pw.x')
    finding = check_executable(code, transport)
    assert finding.level is Level.ERROR
    assert '/nowhere/pw.x is not there' in finding.message


def test_a_program_that_is_no_python(aiida_localhost, transport):
    code = InstalledCode(label='false', computer=aiida_localhost, filepath_executable='/bin/false')
    (finding,) = check_python(code, transport, needs_deepmd=False)
    assert finding.level is Level.ERROR
    assert 'exit status 1' in finding.message


def test_the_environment_of_the_code_counts(aiida_localhost, transport, tmp_path):
    (tmp_path / 'numpy.py').write_text('raise ImportError("this numpy is broken")')
    code = InstalledCode(
        label='python3',
        computer=aiida_localhost,
        filepath_executable='/usr/bin/python3',
        prepend_text=f'export PYTHONPATH={tmp_path}',
    )
    finding = next(item for item in check_python(code, transport, needs_deepmd=False) if 'numpy' in item.message)
    assert finding.level is Level.ERROR
    assert 'this numpy is broken' in finding.message


@pytest.mark.parametrize(('needs_deepmd', 'level'), [(True, Level.ERROR), (False, Level.WARNING)])
def test_deepmd_counts_only_where_it_is_needed(needs_deepmd, level):
    good = {'version': '1.0', 'error': None}
    found = {'python': '3.12.1', **dict.fromkeys(MODULES, good), 'deepmd': {'version': None, 'error': 'ImportError'}}
    assert worst(judge_python('code', found, needs_deepmd=needs_deepmd)).level is level


def test_an_old_python_is_refused():
    found = {'python': '3.8.2', **{name: {'version': '1.0', 'error': None} for name in MODULES}}
    assert 'is Python 3.8.2, needed is 3.10' in worst(judge_python('code', found, needs_deepmd=False)).message


def test_codes_on_a_computer_that_does_not_work_are_not_looked_at(make_computer, tmp_path):
    (tmp_path / 'work').write_text('')
    code = InstalledCode(
        label='unreachable', computer=make_computer('broken'), filepath_executable='/usr/bin/python3'
    ).store()
    Int(1).store()
    finding = worst(check_machines({code: True}, needs_deepmd=False))
    assert (finding.level, finding.message) == (Level.WARNING, 'not looked at: unreachable@broken')
    assert all_codes()[code]


def test_pseudopotentials_are_looked_for_where_there_is_a_code_for_them(python_code, pw_code, pseudo_family):
    assert list(check_pseudos([python_code], None)) == []
    (finding,) = check_pseudos([python_code, pw_code], None)
    assert finding.level is Level.OK
    assert pseudo_family.label in finding.message


def test_potcars_are_looked_for_where_there_is_a_code_for_them(python_code, make_vasp_code, potcar_family):
    assert list(check_potcars([python_code], None)) == []
    (finding,) = check_potcars([python_code, make_vasp_code()], None)
    assert (finding.level, finding.message) == (Level.OK, potcar_family)


def test_command(python_code, capsys):
    """The command says the same as JSON, and its exit status tells whether there are errors."""
    try:
        cmd_root.main(['doctor', '--json'], prog_name='aiida-prospect', standalone_mode=False)
        status = 0
    except SystemExit as exception:
        status = exception.code
    findings = json.loads(capsys.readouterr().out)
    assert status == int(any(finding['level'] == 'error' for finding in findings))
    assert {'profile', 'broker', f'code {python_code.full_label}'} <= {finding['subject'] for finding in findings}
