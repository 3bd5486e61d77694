"""Fixtures of the tests that need a cluster; ``bash deploy/test.sh --cluster`` brings one up and runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / 'deploy'
HOST = 'prospect-cluster'

Shell = Callable[..., str]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line('markers', 'cluster: needs the test cluster; deselected unless asked for by `-m cluster`')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker('cluster')
    if 'cluster' not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope='session')
def cluster() -> Path:
    """Return the state folder of a cluster that is ready."""
    given = os.environ.get('PROSPECT_CLUSTER_DIR')
    assert given, (
        'there is no cluster: run `bash deploy/test.sh --cluster`, or bring it up and set PROSPECT_CLUSTER_DIR'
    )
    subprocess.run(['bash', DEPLOY / 'test-cluster.sh', 'status'], check=True)
    return Path(given).resolve()


def make_shell(environment: dict[str, str]) -> Shell:
    """Return a function that runs a command and returns what it wrote."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, 'PATH': path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout

    return run


@pytest.fixture(scope='session')
def files(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the computers and codes of ``deploy/``, changed where a user is told to change them."""
    folder = tmp_path_factory.mktemp('yaml')
    for kind in ('computers', 'codes'):
        (folder / kind).mkdir()
        for source in (DEPLOY / kind).glob('*.yaml'):
            values = yaml.safe_load(source.read_text())
            if kind == 'computers' and values['transport'] == 'core.ssh_async':
                values.update(hostname=HOST, minimum_job_poll_interval=0.5, default_memory_per_machine=1_000_000)
                values['work_dir'] = str(cluster / 'work' / values['label'])
                values['configure'].update(safe_interval=0.2)
            elif kind == 'computers':
                values['work_dir'] = str(cluster / 'work' / values['label'])
            elif values['label'] == 'python':
                values['filepath_executable'] = sys.executable
            else:
                values['filepath_executable'] = '/usr/bin/pw.x'
            (folder / kind / source.name).write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope='session')
def on_cluster(cluster: Path, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell with a profile on the services, computers, codes, and a daemon that is stopped at the end."""
    folder = tmp_path_factory.mktemp('aiida')
    secrets = dict(line.split('=', 1) for line in (cluster / 'secrets.env').read_text().splitlines())
    database = f'test_{uuid4().hex[:12]}'
    # `core.ssh_async` looks for the host and the key in the home folder.
    # With the mark the end of the cluster is the end of the daemon too, should these tests be killed.
    environment = {
        'PROSPECT_CLUSTER_OWNER': str(cluster),
        'PROSPECT_POSTGRES_DATABASE': database,
        'PGPASSWORD': secrets['PROSPECT_POSTGRES_PASSWORD'],
        'AIIDA_PATH': str(folder),
        'HOME': str(cluster / 'home'),
        'SLURM_CONF': str(cluster / 'slurm' / 'slurm.conf'),
    }
    run = make_shell(environment)
    server = ('-h', '127.0.0.1', '-p', secrets['PROSPECT_POSTGRES_PORT'], '-U', 'aiida')
    run('createdb', *server, database)
    setup = (sys.executable, '-W', 'ignore', DEPLOY / 'setup_cluster.py')
    run(*setup, 'profile', '--secrets', cluster / 'secrets.env')
    run('verdi', 'config', 'set', 'runner.poll.interval', '1')
    run(*setup, 'computers', *sorted((files / 'computers').glob('*.yaml')))
    run(*setup, 'codes', *sorted((files / 'codes').glob('*.yaml')))
    run('verdi', 'daemon', 'start', '2')
    yield run
    run('verdi', 'daemon', 'stop')
    run('dropdb', '--force', *server, database)


@pytest.fixture(scope='session')
def on_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell with a profile as the quick start makes it: SQLite, no queue."""
    folder = tmp_path_factory.mktemp('local')
    run = make_shell({'AIIDA_PATH': str(folder)})
    setup = DEPLOY / 'setup_profile.py'
    run(sys.executable, '-W', 'ignore', setup, '--python', sys.executable, '--work', folder / 'work')
    return run
