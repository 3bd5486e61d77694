"""Tests of ``deploy/test-cluster.sh`` itself: calling it twice, ending it, what it listens on, what it leaves alone."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'deploy' / 'test-cluster.sh'
MARK = 'PROSPECT_CLUSTER_OWNER'


def call(state: Path, *arguments: str, check: bool = True) -> str:
    environment = {**os.environ, 'PROSPECT_CLUSTER_DIR': str(state)}
    done = subprocess.run(['bash', SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f'{arguments}: {done.stdout}{done.stderr}'
    return done.stdout + done.stderr


def slurm(state: Path, *command: str) -> str:
    environment = {'SLURM_CONF': str(state / 'slurm' / 'slurm.conf'), 'PATH': '/usr/bin:/bin'}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def wait_for(ask: Callable[[], str], wanted: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while (told := ask()) != wanted:
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


def processes() -> dict[int, int]:
    """Return all processes with their parents."""
    found = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            after_name = (path / 'stat').read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        found[int(path.name)] = int(after_name[1])
    return found


def services(state: Path) -> dict[str, int]:
    return {path.stem: int(path.read_text().split()[0]) for path in (state / 'run').glob('*.pid')}


def family(state: Path) -> set[int]:
    """Return the services with all their descendants, jobs included."""
    parents = processes()
    members = set(services(state).values())
    assert members <= set(parents)
    while True:
        children = {pid for pid, parent in parents.items() if parent in members} - members
        if not children:
            return members
        members |= children


def users_of(state: Path) -> set[int]:
    """Return the processes that carry the mark of a cluster, or whose command line or open files lie in its folder."""
    found = set()
    for path in Path('/proc').glob('[0-9]*'):
        try:
            command = (path / 'cmdline').read_bytes().decode(errors='replace')
            environment = (path / 'environ').read_bytes().decode(errors='replace')
            opened = [os.readlink(link) for link in (path / 'fd').iterdir()]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        inside = [text for text in (command, *opened) if f'{state}/' in text]
        if inside or f'{MARK}={state}\0' in environment:
            found.add(int(path.name))
    return found


@pytest.fixture(scope='module')
def second() -> Iterator[Path]:
    """Return the folder of a cluster that is brought up and ended beside that of the session."""
    # Paths of sockets are short, those of pytest are not.
    with tempfile.TemporaryDirectory(prefix='prospect-second-') as folder:
        state = Path(folder) / 'state'
        call(state, 'up')
        yield state
        call(state, 'down')


def test_listens_on_loopback_only(cluster):
    told = subprocess.run(['ss', '-H', '-l', '-t', '-u', '-n', '-p'], capture_output=True, text=True, check=True).stdout
    members, listening = family(cluster), set()
    for line in told.splitlines():
        owners = {int(pid) for pid in re.findall(r'pid=(\d+)', line)}
        if owners & members:
            address = line.split()[4].rpartition(':')[0].strip('[]').partition('%')[0]
            assert ipaddress.ip_address(address).is_loopback, line
            listening |= owners
    # munge has a socket in the file system, all others listen on the network.
    assert {name for name, pid in services(cluster).items() if pid not in listening} == {'munge'}


def test_passwords_are_random_and_closed_to_others(cluster, second):
    names = ('postgres', 'aiida', 'rabbitmq', 'slurmdbd')
    passwords = [(state / 'secrets' / name).read_text() for state in (cluster, second) for name in names]
    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 20
    for path in cluster.rglob('*'):
        if path.is_file() and path.stat().st_size < 1_000_000:
            content = path.read_bytes()
            if any(password.encode() in content for password in passwords):
                assert path.stat().st_mode & 0o077 == 0, path


def test_up_twice_changes_nothing(cluster, second):
    before = services(second), (second / 'secrets.env').read_text()
    call(second, 'up')
    assert (services(second), (second / 'secrets.env').read_text()) == before
    told = call(second, 'status')
    assert len(re.findall(r'\bready$', told, flags=re.MULTILINE)) == len(before[0])


def test_each_partition_runs_jobs_and_accounts_for_them(second):
    for partition, options in (('cpu', []), ('gpu', ['--gres=gpu:1'])):
        job = slurm(
            second, 'sbatch', '--parsable', '--wait', '-p', partition, *options, '-o', '/dev/null', '--wrap=true'
        )
        wanted = f'COMPLETED|{partition}'
        # The accounts follow when the job has ended.
        wait_for(lambda job=job: slurm(second, 'sacct', '-nPX', '-j', job, '--format=State,Partition'), wanted)


def test_a_service_can_be_ended_and_started_alone(second):
    others = {name: pid for name, pid in services(second).items() if name != 'slurmctld'}
    call(second, 'stop', 'slurmctld', 'KILL')
    told = call(second, 'status', check=False)
    assert re.search('^slurmctld +does not run', told, flags=re.MULTILINE)
    call(second, 'start', 'slurmctld')
    after = services(second)
    assert after.pop('slurmctld') in processes()
    assert after == others


def test_number_of_a_process_that_is_another_one_now(second):
    """After a restart of the machine the number in a file may be that of anybody."""
    with subprocess.Popen(['sleep', '60']) as stranger:
        path = second / 'run' / 'epmd.pid'
        kept = path.read_text()
        path.write_text(f'{stranger.pid} 12345\n')
        call(second, 'stop', 'epmd')
        assert stranger.poll() is None
        stranger.kill()
        path.write_text(kept)


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    assert 'is not empty' in call(tmp_path, 'up', check=False)
    assert 'no cluster' in call(tmp_path, 'down')
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_down_leaves_no_process_and_no_file(cluster, second):
    """Also with a job that runs, and without harm to the other cluster; then everything is there again."""
    before = services(cluster)
    slurm(second, 'sbatch', '-p', 'cpu', '-o', '/dev/null', '--wrap=sleep 600')
    wait_for(lambda: slurm(second, 'squeue', '-h', '-o', '%T'), 'RUNNING')
    members = family(second)
    assert len(members) > len(services(second))
    call(second, 'down')
    # Whoever adopts orphans may take a moment to notice that they have ended.
    deadline = time.monotonic() + 60
    while left := members & set(processes()):
        assert time.monotonic() < deadline, [Path(f'/proc/{pid}/status').read_text() for pid in left]
        time.sleep(0.2)
    assert users_of(second) == set()
    assert not second.exists()
    assert 'no cluster' in call(second, 'down')
    assert services(cluster) == before
    call(cluster, 'status')
