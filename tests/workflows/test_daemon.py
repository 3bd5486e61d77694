"""Test that a search runs through the daemon, in a profile as the quick start makes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = {
    'search': {'budget': {'max_cycles': 1}, 'final': {'n_minima': 1}},
    'pool': {'n_structures': 6},
    'selection': {'selection': {'n_initial': 5, 'n_select': 3}},
    'explore': {'parameters': {'max_steps': 5}},
}
# One process that waits: to start a command again and again takes more than half of the time of a processor.
WAIT = """
import sys, time
from aiida import orm
deadline = time.monotonic() + float(sys.argv[2])
while not orm.load_node(int(sys.argv[1])).is_sealed and time.monotonic() < deadline:
    time.sleep(0.5)
"""
TIMEOUT = 400


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs a command in a profile of its own, with a daemon that is stopped at the end."""
    programs = Path(sys.executable).parent
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path), 'PATH': f'{programs}:{os.environ["PATH"]}'}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout

    setup = str(ROOT / 'deploy' / 'setup_profile.py')
    run(sys.executable, '-W', 'ignore', setup, '--python', sys.executable, '--work', str(tmp_path / 'work'))
    run('verdi', 'daemon', 'start')
    yield run
    subprocess.run(['verdi', 'daemon', 'stop'], env=environment, capture_output=True, check=False)


def test_search_is_submitted_and_ends(shell, tmp_path):
    overrides = tmp_path / 'overrides.yaml'
    overrides.write_text(yaml.safe_dump(TINY))
    told = shell('aiida-prospect', 'search', 'Si4', '--protocol', 'fast', '--overrides', str(overrides), '--submit')
    pk = told.split('submitted search ')[1].split(';')[0]
    (tmp_path / 'wait.py').write_text(WAIT)
    shell('verdi', 'run', str(tmp_path / 'wait.py'), pk, str(TIMEOUT))
    summary = json.loads(shell('aiida-prospect', 'show', pk, '--json'))
    assert summary['ranking'], shell('verdi', 'process', 'report', pk)
    assert summary['stop']['reason'] in ('max_cycles', 'converged'), summary['exit_message']
    assert summary['ranking']['minima']
