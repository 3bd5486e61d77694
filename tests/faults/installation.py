"""What a campaign of faults runs on: a profile on the test cluster, and a scratch disk small enough to be filled."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parents[1] / 'deploy'
HOST = 'prospect-cluster'
SCRATCH_SIZE = '64m'
WORKERS = '2'
# Quick answers; five attempts take half a minute, so that an outage of a minute pauses jobs and the watch has work.
# With the cache there would be nothing to disturb in the second search.
SETTINGS = {
    'runner.poll.interval': '1',
    'transport.task_retry_initial_interval': '2',
    'caching.default_enabled': 'False',
}


def cluster() -> Path:
    """Return the state folder of the test cluster.

    :raises SystemExit: if there is none.
    """
    folder = Path(os.environ.get('PROSPECT_CLUSTER_DIR', Path.home() / '.prospect-cluster')).resolve()
    if not (folder / 'secrets.env').is_file():
        raise SystemExit(f'no test cluster in {folder}; make one: bash deploy/test-cluster.sh up')
    return folder


def enter() -> None:
    """Set the environment of this process and its children as the installation needs it."""
    folder = cluster()
    os.environ.update(
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        PYTHONWARNINGS='ignore',
        # Its end is the end of the daemon too.
        PROSPECT_CLUSTER_OWNER=str(folder),
        PROSPECT_CLUSTER_DIR=str(folder),
        AIIDA_PATH=str(folder / 'faults'),
        HOME=str(folder / 'home'),
        SLURM_CONF=str(folder / 'slurm' / 'slurm.conf'),
    )


def command(*words: str | Path, check: bool = True) -> str:
    """Run a command and return what it wrote.

    :raises RuntimeError: if it fails.
    """
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f'{words}: {done.stdout}{done.stderr}')
    return done.stdout


def service(action: str, name: str) -> None:
    """Start or stop a service of the cluster."""
    command('bash', DEPLOY / 'test-cluster.sh', action, name)


def scratch() -> Path:
    """Return the folder where the jobs run."""
    return cluster() / 'scratch'


def set_up() -> None:
    """Make the installation, if it is not there, and start its daemon anew."""
    scratch().mkdir(exist_ok=True)
    if not scratch().is_mount():
        command('mount', '-t', 'tmpfs', '-o', f'size={SCRATCH_SIZE}', 'none', scratch())
    if not (cluster() / 'faults').is_dir():
        _make_profile()
    # Nothing has happened yet to the workers with which a search begins.
    command('verdi', 'daemon', 'stop', check=False)
    command('verdi', 'daemon', 'start', WORKERS)


def _make_profile() -> None:
    setup = (sys.executable, DEPLOY / 'setup_cluster.py')
    command(*setup, 'profile', '--secrets', cluster() / 'secrets.env')
    command('verdi', 'config', 'unset', 'caching.enabled_for')
    for option, value in SETTINGS.items():
        command('verdi', 'config', 'set', option, value)
    with tempfile.TemporaryDirectory() as folder:
        for kind, names in (('computers', ('cpu', 'gpu')), ('codes', ('cpu', 'gpu'))):
            for name in names:
                source = DEPLOY / kind / f'{"cluster" if kind == "computers" else "python"}-{name}.yaml'
                path = Path(folder) / f'{kind}-{source.name}'
                path.write_text(yaml.safe_dump(_adapted(kind, yaml.safe_load(source.read_text()))))
                command(*setup, kind, path)


def _adapted(kind: str, values: dict) -> dict:
    if kind == 'codes':
        return {**values, 'filepath_executable': sys.executable}
    values.update(hostname=HOST, minimum_job_poll_interval=0.5, default_memory_per_machine=1_000_000)
    values.update(work_dir=str(scratch() / values['label']))
    values['configure'].update(safe_interval=0.2)
    # For the calculator.
    values['prepend_text'] += f'export PYTHONPATH={HERE}\n'
    return values


def clean_up() -> None:
    """Stop the daemon and give the scratch disk back; the rest goes with the cluster."""
    command('verdi', 'daemon', 'stop', check=False)
    if scratch().is_mount():
        command('umount', '--lazy', scratch())
