"""Tests that what an outage has paused goes on by itself, and nothing else."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import click
import psutil
import pytest
from aiida.common import timezone
from aiida.common.datastructures import CalcJobState
from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, CalcJobNode, WorkChainNode
from aiida.schedulers.datastructures import JobInfo
from aiida.schedulers.plugins.direct import DirectScheduler
from aiida.transports.plugins.local import LocalTransport
from paramiko import SSHException

from aiida_prospect.campaign.doctor import check_half_created
from aiida_prospect.campaign.findings import Level
from aiida_prospect.campaign.jobs import Entry
from aiida_prospect.campaign.stranded import FOREGROUND, SILENT, find_half_created, forget_silence, root_of, silent_for
from aiida_prospect.campaign.watch import EXTRA, LONGEST_WAIT, PAUSED_BY_AIIDA, Round, Watcher, attempts_of, due_at
from aiida_prospect.cli.root import cmd_root

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
BY_USER = 'Paused through `verdi process pause`'
SUBMIT = """
from aiida import load_profile, orm
from aiida.engine import submit
from aiida.plugins import DataFactory, WorkflowFactory
from aiida_prospect.common.frames import Frames
from ase.build import bulk

load_profile()
builder = WorkflowFactory('prospect.label.calculator').get_builder_from_protocol(
    DataFactory('prospect.dataset')(Frames.from_atoms([bulk('Cu')])),
    code=orm.load_code('python@localhost'),
    calculator='ase.calculators.emt:EMT',
)
print('submitted', submit(builder).pk)
"""
LOSE_TASKS = """
from aiida import load_profile
from aiida.engine.processes.control import iterate_process_tasks
from aiida.manage import get_manager

load_profile()
for task in iterate_process_tasks(get_manager().get_broker()):
    with task.processing() as outcome:
        outcome.set_result(False)
    print('lost', task.body['args']['pid'])
"""
LOOK_WITH_A_BROKEN_SESSION = """
import sqlite3, sys
from pathlib import Path
from aiida import load_profile, orm
from sqlalchemy.exc import OperationalError
from aiida_prospect.cli.root import cmd_root

folder = Path(sys.argv[1])
load_profile()
node = orm.Dict().store()
(path,) = folder.rglob('database.sqlite')
away = sqlite3.connect(path, isolation_level=None)
away.execute('begin immediate')
try:
    node.base.extras.set('key', 1)
except OperationalError:
    print('the database was away')
away.close()
for log in ('first.log', 'second.log'):
    cmd_root.main(['watch', '--once', '--log', str(folder / log)], standalone_mode=False)
"""
TIMEOUT = 400


@pytest.fixture
def make_job(aiida_localhost):
    """Return a factory of jobs that wait, with the process that called them."""

    def make(status, *, paused=True, caller='prospect.search', computer=aiida_localhost):
        parent = WorkChainNode(process_type=f'aiida.workflows:{caller}')
        parent.set_process_state('waiting')
        job = CalcJobNode(computer=computer, process_type='aiida.calculations:prospect.relax')
        job.base.links.add_incoming(parent.store(), LinkType.CALL_CALC, 'job')
        job.set_process_state('waiting')
        job.set_process_status(status)
        job.store()
        if paused:
            job.pause()
        return job

    return make


@pytest.fixture
def make_watcher(monkeypatch, tmp_path):
    def make(*searches, start_daemon=False, **settings):
        with monkeypatch.context() as patch:
            patch.setattr('aiida.manage.manager.Manager.get_broker', lambda self: object())
            return Watcher(
                searches,
                **{'wait': MINUTE, **settings},
                start_daemon=start_daemon,
                outage=tmp_path / 'outage',
                logger=logging.getLogger('test'),
            )

    return make


def test_only_what_aiida_paused_below_our_processes_is_found(make_job, make_watcher):
    paused = make_job(f'{PAUSED_BY_AIIDA}: submit_calculation failed 5 times consecutively')
    other = make_job(PAUSED_BY_AIIDA)
    for innocent in (
        make_job(BY_USER),
        make_job('Monitoring scheduler: job state RUNNING', paused=False),
        make_job(PAUSED_BY_AIIDA, paused=False),
        make_job(PAUSED_BY_AIIDA, caller='quantumespresso.pw.relax'),
    ):
        assert innocent.pk not in [job.pk for job in make_watcher().paused_jobs()]
    assert {paused.pk, other.pk} <= {job.pk for job in make_watcher().paused_jobs()}
    assert [job.pk for job in make_watcher(root_of(paused)).paused_jobs()] == [paused.pk]


@pytest.fixture
def queue(monkeypatch):
    """Return the queue of a scheduler that tells names and owners, by identifiers."""
    jobs = {}
    monkeypatch.setattr('aiida.schedulers.plugins.direct.DirectScheduler.get_jobs', lambda self, as_dict: jobs)
    monkeypatch.setattr('aiida.transports.plugins.local.LocalTransport.whoami', lambda self: 'me')
    return jobs


def give_folder(job):
    """Let it be as if the files of a job had been written."""
    job.set_remote_workdir(f'/scratch/{job.uuid[:2]}/{job.uuid[2:4]}/{job.uuid[4:]}')


def test_a_job_that_is_in_the_queue_is_not_submitted_again(make_job, make_watcher, queue):
    lost, never, unwritten = (make_job(f'{PAUSED_BY_AIIDA}: submit_calculation failed 5 times') for _ in range(3))
    for job in (lost, never):
        give_folder(job)
    queue['17'] = JobInfo({'title': f'aiida-{lost.pk}', 'job_owner': 'me'})
    queue['18'] = JobInfo({'title': 'of somebody else'})
    queue['19'] = JobInfo({'title': f'aiida-{unwritten.pk}', 'job_owner': 'me'})
    assert make_watcher().adopt([lost, never, unwritten])
    assert [job.get_job_id() for job in (lost, never, unwritten)] == ['17', None, None]


def test_a_job_of_somebody_else_is_not_taken_for_ours(make_job, make_watcher, queue):
    job = make_job(f'{PAUSED_BY_AIIDA}: submit_calculation failed 5 times')
    give_folder(job)
    queue['17'] = JobInfo({'title': f'aiida-{job.pk}', 'job_owner': 'another'})
    assert make_watcher().adopt([job])
    assert job.get_job_id() is None


def test_a_job_of_another_profile_is_not_taken_for_ours(make_job):
    job = make_job(None)
    give_folder(job)
    title, folder = f'aiida-{job.pk}', job.get_remote_workdir()
    assert Entry('17', 'me', title, f'/mnt/disk{folder}').is_of(job, 'me'), 'a link was resolved'
    assert Entry('17', 'me', title).is_of(job, 'me'), 'a scheduler that does not tell'
    assert not Entry('17', 'me', title, f'{folder[:-1]}x').is_of(job, 'me')
    assert not Entry('17', 'me', f'{title}1', folder).is_of(job, 'me')


def test_slurm_is_asked_for_directories_in_the_queue_and_in_the_accounts(make_job, make_watcher, monkeypatch):
    queued, gone, foreign = (make_job(None) for _ in range(3))
    for job in (queued, gone, foreign):
        give_folder(job)
    rows = {job: f'me|aiida-{job.pk}|{job.get_remote_workdir()}' for job in (queued, gone)}
    told = {
        'squeue': f'16|{rows[queued]}\n17|me|aiida-{foreign.pk}|/scratch/aa/bb/other\n',
        'sacct': f'18|{rows[gone]}\n19|me|aiida-{foreign.pk}|/scratch/aa/bb/other\n',
        'whoami': 'me\n',
    }
    monkeypatch.setattr('aiida_prospect.campaign.jobs.SLURM', queued.computer.scheduler_type)
    monkeypatch.setattr(
        'aiida.transports.plugins.local.LocalTransport.exec_command_wait',
        lambda self, command, **_: (0, told[command.split()[0]], ''),
    )
    assert make_watcher().adopt([queued, gone, foreign])
    assert [job.get_job_id() for job in (queued, gone, foreign)] == ['16', '18', None]


def test_nothing_is_concluded_when_the_queue_cannot_be_read(make_job, make_watcher, monkeypatch):
    job = make_job(None)
    give_folder(job)
    monkeypatch.setattr('aiida_prospect.campaign.jobs.SLURM', job.computer.scheduler_type)
    monkeypatch.setattr(
        'aiida.transports.plugins.local.LocalTransport.exec_command_wait',
        lambda self, command, **_: (0, 'me', '') if command == 'whoami' else (1, '', 'the controller is down'),
    )
    assert not make_watcher().adopt([job])


@pytest.mark.parametrize(
    ('status', 'words', 'is_known'),
    [
        (1, 'Slurm accounting storage is disabled\n', True),
        (127, 'bash: line 1: sacct: command not found\n', True),
        (1, 'sacct: error: Problem talking to the database: Connection refused\n', False),
    ],
    ids=['no accounts', 'no command', 'database away'],
)
def test_accounts_that_cannot_be_read_now_are_not_taken_for_none(
    make_job, make_watcher, monkeypatch, caplog, status, words, is_known
):
    job = make_job(f'{PAUSED_BY_AIIDA}: submit_calculation failed 5 times')
    give_folder(job)
    answers = {'whoami': (0, 'me', ''), 'squeue': (0, '', ''), 'sacct': (status, '', words)}
    monkeypatch.setattr('aiida_prospect.campaign.jobs.SLURM', job.computer.scheduler_type)
    monkeypatch.setattr(
        'aiida.transports.plugins.local.LocalTransport.exec_command_wait',
        lambda self, command, **_: answers[command.split()[0]],
    )
    assert make_watcher().adopt([job]) is is_known
    assert ('`sacct` ended with status 1' in caplog.text) is not is_known


def test_the_waits_between_attempts_grow_and_an_old_outage_is_forgotten(make_job):
    job, now = make_job(PAUSED_BY_AIIDA), timezone.now()
    assert due_at(job, MINUTE) <= timezone.now()
    waits = []
    for attempts in (1, 2, 3, 40):
        job.base.extras.set(EXTRA, {'attempts': attempts, 'last': now.isoformat()})
        waits.append(due_at(job, MINUTE) - now)
    assert waits == [MINUTE, 2 * MINUTE, 4 * MINUTE, LONGEST_WAIT]
    job.base.extras.set(EXTRA, {'attempts': 40, 'last': (now - timedelta(days=2)).isoformat()})
    assert attempts_of(job) == 0
    assert due_at(job, MINUTE) <= timezone.now()


def test_functions_that_died_with_their_worker_are_marked_when_their_caller_has_ended(make_job, make_watcher):
    parent = root_of(make_job(BY_USER))
    function = CalcFunctionNode()
    function.base.links.add_incoming(parent, LinkType.CALL_CALC, 'function')
    function.set_process_state('running')
    function.store()
    watcher = make_watcher(parent)
    watcher.end_orphans()
    assert not function.is_terminated
    parent.set_process_state('finished')
    watcher.end_orphans()
    assert function.is_killed
    assert function.is_sealed


def test_what_is_lost_is_handed_over_again_unless_nobody_waits_for_it(make_job, make_watcher, monkeypatch):
    job, orphan, foreground = (make_job(None, paused=False) for _ in range(3))
    root_of(orphan).set_process_state('excepted')
    root_of(foreground).base.extras.set(FOREGROUND, True)
    announced = []
    monkeypatch.setattr('aiida_prospect.campaign.watch.find_stranded', set)
    monkeypatch.setattr('aiida_prospect.campaign.watch.announce', announced.append)
    roots = [root_of(each) for each in (job, orphan, foreground)]
    watcher = make_watcher(*roots)
    assert watcher.revive() == []
    watcher.patience = timedelta(0)
    assert watcher.revive() == sorted([job.pk, root_of(job).pk]) == announced
    assert (orphan.is_killed, orphan.is_sealed) == (True, True)


def test_looks_that_are_far_apart_hand_over_what_is_lost(make_job, make_watcher, monkeypatch):
    job = make_job(None, paused=False)
    monkeypatch.setattr('aiida_prospect.campaign.watch.find_stranded', lambda pks: {job.pk} & set(pks))
    monkeypatch.setattr('aiida_prospect.campaign.watch.announce', lambda pk: None)
    by_cron = make_watcher(root_of(job), memory=timedelta(days=1))
    assert by_cron.revive() == []
    earlier = (timezone.now() - timedelta(hours=3)).isoformat()
    job.base.extras.set(SILENT, {'since': earlier, 'seen': earlier})
    assert by_cron.revive() == [job.pk]
    job.base.extras.set(SILENT, {'since': earlier, 'seen': earlier})
    assert make_watcher(root_of(job)).revive() == []
    assert make_watcher(wait=timedelta(hours=2)).memory == timedelta(hours=4)


@pytest.fixture
def make_orphan(make_job, monkeypatch):
    """Return a factory of jobs that were submitted, that no worker has and nobody waits for."""
    pks = set()
    monkeypatch.setattr('aiida_prospect.campaign.watch.find_stranded', lambda known: pks & set(known))

    def make(identifier, **settings):
        job = make_job(None, paused=False, **settings)
        give_folder(job)
        job.set_job_id(identifier)
        root_of(job).set_process_state('excepted')
        pks.add(job.pk)
        return job

    return make


@pytest.fixture
def start_job(tmp_path):
    """Return a function that starts a job without a queue in a folder, as AiiDA does; it leaves its folder."""
    started = []

    def start(folder):
        folder = tmp_path / folder
        folder.mkdir(parents=True)
        (folder / '_aiidasubmit.sh').write_text('#!/bin/bash\ncd /\nsleep 500\necho done\n')
        scheduler = DirectScheduler()
        with LocalTransport() as transport:
            scheduler.set_transport(transport)
            process = psutil.Process(int(scheduler.submit_job(str(folder), '_aiidasubmit.sh')))
        started.append(process)
        while not process.children():
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        for member in family_of(process):
            member.kill()


def family_of(process):
    """Return a process and its descendants; nothing if it has ended."""
    return [process, *process.children(recursive=True)] if process.is_running() else []


def folder_of(job):
    return job.get_remote_workdir().removeprefix('/scratch/')


def test_a_lost_job_is_ended_on_its_computer_before_it_is_marked(make_orphan, make_watcher, start_job):
    job = make_orphan('unknown')
    process = start_job(folder_of(job))
    job.set_job_id(str(process.pid))
    family = family_of(process)
    assert len(family) > 1
    make_watcher(root_of(job), patience=timedelta(0)).revive()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert job.is_killed


def test_a_process_that_was_given_the_number_of_a_lost_job_is_left_alone(make_orphan, make_watcher, start_job):
    strangers = [start_job(f'aa/bb/{number}') for number in range(2)]
    jobs = [make_orphan(str(stranger.pid)) for stranger in strangers]
    make_watcher(*map(root_of, jobs), patience=timedelta(0)).revive()
    assert all(job.is_killed for job in jobs)
    assert all(len(family_of(stranger)) > 1 for stranger in strangers)


def test_a_lost_job_whose_process_has_ended_is_marked(make_orphan, make_watcher, start_job):
    job = make_orphan('unknown')
    process = start_job(folder_of(job))
    job.set_job_id(str(process.pid))
    psutil.wait_procs([member for member in family_of(process) if member.kill() is None], timeout=30)
    make_watcher(root_of(job), patience=timedelta(0)).revive()
    assert job.is_killed


def test_a_lost_job_is_left_alone_while_its_queue_does_not_answer(
    make_orphan, make_watcher, aiida_computer, monkeypatch, caplog, tmp_path
):
    # Without any settings the commands of SLURM, if it is installed, ask the network for them, for a minute.
    (tmp_path / 'slurm.conf').write_text('nothing of SLURM\n')
    monkeypatch.setenv('SLURM_CONF', str(tmp_path / 'slurm.conf'))
    settings = {'use_login_shell': False, 'safe_interval': 0}
    computer = aiida_computer('without-slurm', scheduler_type='core.slurm', configuration_kwargs=settings)
    job = make_orphan('17', computer=computer)
    make_watcher(root_of(job), patience=timedelta(0)).revive()
    assert not job.is_terminated
    assert 'job 17 on without-slurm could not be ended and may still run: SchedulerError' in caplog.text


def test_a_lost_job_is_left_alone_while_its_computer_is_away(make_orphan, make_watcher, monkeypatch, caplog):
    def fail(self):
        raise SSHException('no route')

    orphans = [make_orphan(identifier) for identifier in ('17', '18')]
    with monkeypatch.context() as patch:
        patch.setattr('aiida.transports.plugins.local.LocalTransport.open', fail)
        make_watcher(*map(root_of, orphans), patience=timedelta(0)).revive()
    for job in orphans:
        assert not job.is_terminated
        told = f'job {job.get_job_id()} on {job.computer.label} could not be ended and may still run: SSHException'
        assert told in caplog.text


def test_a_lost_job_that_has_left_the_queue_is_marked_at_once(make_orphan, make_watcher, start_job):
    job = make_orphan('unknown')
    process = start_job(folder_of(job))
    job.set_job_id(str(process.pid))
    job.set_state(CalcJobState.RETRIEVING)
    make_watcher(root_of(job), patience=timedelta(0)).revive()
    assert job.is_killed
    assert len(family_of(process)) > 1


def test_processes_that_never_came_into_being_are_named_once_with_the_remedy(make_job, make_watcher, caplog):
    parent = root_of(make_job(BY_USER))
    nodes = []
    for caller in (parent, None):
        node = CalcJobNode(process_type='aiida.calculations:prospect.relax')
        if caller is not None:
            node.base.links.add_incoming(caller, LinkType.CALL_CALC, 'half')
        nodes.append(node.store())
    young = {node.pk for node in nodes} & {node.pk for node in find_half_created()}
    assert not young, 'they may come into being yet'
    found = [node.pk for node in find_half_created(age=timedelta(0))]
    assert {node.pk for node in nodes} <= set(found)
    assert [node.pk for node in find_half_created(parent.pk, timedelta(0))] == [nodes[0].pk]
    watcher = make_watcher(parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('aiida_prospect.campaign.watch.find_half_created', lambda: nodes)
        patch.setattr('aiida_prospect.campaign.doctor.find_half_created', lambda pk: nodes[:1])
        for _ in range(2):
            watcher.name_half_created()
        (finding,) = check_half_created(parent.pk)
    assert caplog.text.count(f'verdi node delete --force {nodes[0].pk}') == 1
    assert f'--force {nodes[1].pk}' not in caplog.text
    assert (finding.level, finding.remedy) == (Level.WARNING, f'verdi node delete --force {nodes[0].pk}')


def test_silence_is_reckoned_from_its_beginning_and_forgotten(make_job):
    job = make_job(None, paused=False)
    assert silent_for(job, 2 * MINUTE) == timedelta(0)
    noted = job.base.extras.get(SILENT)
    earlier = (timezone.now() - MINUTE).isoformat()
    job.base.extras.set(SILENT, {**noted, 'since': earlier})
    assert MINUTE <= silent_for(job, 2 * MINUTE) < 2 * MINUTE
    job.base.extras.set(SILENT, {'since': earlier, 'seen': (timezone.now() - 3 * MINUTE).isoformat()})
    assert silent_for(job, 2 * MINUTE) == timedelta(0)
    forget_silence([job.pk])
    assert SILENT not in job.base.extras.all


class Client:
    """A daemon that is started and restarted."""

    def __init__(self, *, runs):
        self.is_daemon_running = runs
        self.restarts = 0

    def start_daemon(self, workers):
        self.is_daemon_running = True

    def restart_daemon(self):
        self.restarts += 1


@pytest.fixture
def make_client(monkeypatch):
    def make(*, runs):
        client = Client(runs=runs)
        monkeypatch.setattr('aiida.manage.manager.Manager.get_daemon_client', lambda self: client)
        return client

    return make


def test_workers_are_renewed_once_after_an_outage_also_by_the_next_watch(make_watcher, make_client):
    client = make_client(runs=True)
    make_watcher().renew_workers()
    assert client.restarts == 0
    make_watcher().note_outage()
    for _ in range(2):
        make_watcher().renew_workers()
    assert client.restarts == 1


def test_new_workers_are_not_renewed(make_watcher, make_client):
    client, watcher = make_client(runs=False), make_watcher(start_daemon=True)
    watcher.note_outage()
    assert watcher.check_daemon()
    watcher.renew_workers()
    assert client.restarts == 0


def test_silence_without_workers_counts_for_nothing(make_job, make_watcher, make_client):
    job = make_job(None, paused=False)
    silent_for(job, MINUTE)
    make_client(runs=False)
    assert not make_watcher().check_daemon()
    assert SILENT not in job.base.extras.all


def test_the_broker_is_asked_after_the_daemon_that_brings_it(make_job, make_watcher, make_client, monkeypatch):
    client = make_client(runs=False)
    monkeypatch.setattr('aiida_prospect.campaign.watch.broker_answers', lambda: client.is_daemon_running)
    monkeypatch.setattr('aiida_prospect.campaign.watch.find_stranded', lambda pks: set())
    search = root_of(make_job(BY_USER))
    assert make_watcher(search).look() == Round()
    assert not client.is_daemon_running
    assert make_watcher(search, start_daemon=True).look() == Round()
    assert client.is_daemon_running
    monkeypatch.setattr('aiida_prospect.campaign.watch.broker_answers', lambda: False)
    with pytest.raises(ConnectionError, match='does not answer'):
        make_watcher(search).look()


def test_a_single_look_remembers_for_a_day_and_notes_an_outage(aiida_profile, monkeypatch, tmp_path):
    settings, noted = {}, []

    class Away:
        pks = ()

        def __init__(self, searches, **given):
            settings.update(given)

        def all_ended(self):
            raise ConnectionError('the message broker does not answer')

        def note_outage(self):
            noted.append(True)

    monkeypatch.setattr('aiida_prospect.campaign.watch.Watcher', Away)
    monkeypatch.setattr('aiida.manage.manager.Manager.reset_profile_storage', lambda self: None)
    monkeypatch.setattr('signal.signal', lambda *_: None)
    cmd_root.main(['watch', '--once', '--log', str(tmp_path / 'log')], standalone_mode=False)
    assert settings['memory'] == timedelta(days=1)
    assert settings['outage'].suffix == '.outage'
    assert noted


def test_a_profile_without_broker_is_refused(aiida_profile, tmp_path):
    with pytest.raises(click.ClickException, match='has no broker'):
        cmd_root.main(['watch', '--once', '--log', str(tmp_path / 'log')], standalone_mode=False)


class Installation:
    """A profile of its own with a daemon, driven from the command line as a user does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / 'watch.log'
        programs = Path(sys.executable).parent
        self.environment = {**os.environ, 'AIIDA_PATH': str(folder), 'PATH': f'{programs}:{os.environ["PATH"]}'}

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout

    def watch(self, *options: str) -> str:
        self.run('aiida-prospect', 'watch', '--once', '--log', str(self.log), *options)
        return self.log.read_text()

    def ask(self, question: str, *values: object) -> list[tuple]:
        """Read the database, which takes a thousandth of the time of a command."""
        (path,) = self.folder.rglob('database.sqlite')
        with sqlite3.connect(f'file:{path}?mode=ro', uri=True) as database:
            return database.execute(question, values).fetchall()

    def jobs(self) -> list[tuple[int, dict]]:
        rows = self.ask("select id, attributes from db_dbnode where node_type like 'process.calculation.calcjob%'")
        return [(pk, json.loads(attributes)) for pk, attributes in rows]

    def wait_for(self, condition, words: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f'{words}: {self.jobs()}'
            time.sleep(0.5)


@pytest.fixture
def installation(tmp_path):
    it = Installation(tmp_path)
    setup = str(ROOT / 'deploy' / 'setup_profile.py')
    it.run(sys.executable, '-W', 'ignore', setup, '--python', sys.executable, '--work', str(tmp_path / 'work'))
    it.run('verdi', 'config', 'set', 'transport.task_maximum_attempts', '2')
    it.run('verdi', 'config', 'set', 'transport.task_retry_initial_interval', '1')
    it.run('verdi', 'daemon', 'start')
    yield it
    subprocess.run(['verdi', 'daemon', 'stop'], env=it.environment, capture_output=True, check=False)


def test_what_an_outage_paused_goes_on_when_the_computer_answers_again(installation):
    work = installation.folder / 'work'
    work.write_text('a full disk, say: jobs cannot be written here')
    pk = int(installation.run(sys.executable, '-W', 'ignore', '-c', SUBMIT).split('submitted ')[1])
    installation.wait_for(lambda: any(job.get('paused') for _, job in installation.jobs()), 'no job was paused')
    ((job_pk, before),) = installation.jobs()
    assert before['process_status'].startswith(PAUSED_BY_AIIDA)

    assert 'cannot be written' in installation.watch()
    assert installation.jobs()[0][1].get('paused'), 'it must not be played as long as the computer does not work'

    work.unlink()
    assert f'EvaluateCalculation<{job_pk}> on localhost: played again (attempt 1)' in installation.watch()
    ended = 'select attributes from db_dbnode where id = ?'
    installation.wait_for(
        lambda: 'exit_status' in json.loads(installation.ask(ended, pk)[0][0]), 'the work chain did not end'
    )
    assert json.loads(installation.ask(ended, pk)[0][0])['exit_status'] == 0
    assert len(installation.jobs()) == 1
    messages = [row[0] for row in installation.ask('select message from db_dblog where dbnode_id = ?', job_pk)]
    assert any(message.startswith('aiida-prospect watch: played again') for message in messages)
    installation.run('aiida-prospect', 'watch', str(pk), '--log', str(installation.log))
    assert installation.log.read_text().splitlines()[-1].endswith('the watch ends'), 'there is nothing left to watch'


def test_what_no_queue_and_no_worker_has_is_handed_to_the_daemon_again(installation):
    # Without a worker: a task that one has in hand when it is stopped comes back to the queue, at some time.
    installation.run('verdi', 'daemon', 'decr', '1')
    pk = int(installation.run(sys.executable, '-W', 'ignore', '-c', SUBMIT).split('submitted ')[1])
    installation.run('verdi', 'daemon', 'stop')
    assert installation.run(sys.executable, '-W', 'ignore', '-c', LOSE_TASKS) == f'lost {pk}\n'
    started = installation.watch('--daemon')
    assert 'the daemon did not run and was started' in started
    assert 'does not answer' not in started
    assert 'no worker knew' not in installation.watch()
    revived = installation.watch('--lost-after', '0')
    assert f'CalculatorLabelWorkChain<{pk}>: no worker knew of it' in revived
    ended = 'select attributes from db_dbnode where id = ?'
    installation.wait_for(
        lambda: 'exit_status' in json.loads(installation.ask(ended, pk)[0][0]), 'the work chain did not end'
    )
    assert json.loads(installation.ask(ended, pk)[0][0])['exit_status'] == 0
    assert len(installation.jobs()) == 1
    assert installation.watch().count('no worker knew of it') == revived.count('no worker knew of it')


def test_what_an_outage_of_the_database_leaves_behind_ends_a_look_and_not_the_watch(installation):
    folder = str(installation.folder)
    told = installation.run(sys.executable, '-W', 'ignore', '-c', LOOK_WITH_A_BROKEN_SESSION, folder)
    assert told == 'the database was away\n'
    first, second = ((installation.folder / name).read_text() for name in ('first.log', 'second.log'))
    assert 'ERROR PendingRollbackError' in first
    assert 'ERROR' not in second
    assert 'after an outage the workers of the daemon were restarted' in second
