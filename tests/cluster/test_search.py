"""Test that PostgreSQL, RabbitMQ, the daemon, SSH and SLURM change no number of a search."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name('search.py')
# On one machine the same programs see the same numbers, so what differs is at most what is rounded in files.
TOLERANCE = 1e-8


@pytest.fixture(params=[8], ids=['Si8'])
def n_atoms(request) -> int:
    return request.param


@pytest.fixture
def searches(n_atoms, on_cluster, on_this_machine, tmp_path) -> tuple[Path, Path]:
    """Return the results of both, without suffix."""
    there, here = tmp_path / 'there', tmp_path / 'here'
    codes = ('--python', 'python@cluster-gpu', '--label-python', 'python@cluster-cpu')
    on_cluster(sys.executable, '-W', 'ignore', SCRIPT, n_atoms, there, *codes, '--daemon')
    codes = ('--python', 'python@localhost', '--label-python', 'python@localhost')
    on_this_machine(sys.executable, '-W', 'ignore', SCRIPT, n_atoms, here, *codes)
    return there, here


@pytest.mark.timeout(1500)
def test_ends_with_the_same_labels_and_minima(searches, cluster):
    told_there, told_here = (json.loads(path.with_suffix('.json').read_text()) for path in searches)
    assert told_here['exit_status'] in (0, 501), told_here['exit_message']
    for told in (told_there, told_here):
        # The time that it took is all that may differ in why it ended.
        assert told['stop']['spent'].pop('core_hours') > 0
    for name in ('exit_status', 'exit_message', 'cycles', 'stop'):
        assert told_there[name] == told_here[name]
    there, here = (np.load(path.with_suffix('.npz')) for path in searches)
    assert sorted(there) == sorted(here)
    assert 'minima.energy' in here
    assert len(here['cycle_01.labels.energy']) > 0
    for name in here:
        if here[name].dtype.kind == 'f':
            np.testing.assert_allclose(there[name], here[name], rtol=0, atol=TOLERANCE, err_msg=name)
        else:
            np.testing.assert_array_equal(there[name], here[name], err_msg=name)
    check_jobs(told_there['jobs'], cluster)
    print(f'seconds: {told_there["seconds"]:.0f} on the cluster, {told_here["seconds"]:.0f} without')


def check_jobs(jobs: list[dict], cluster: Path) -> None:
    """Check with the accounting of SLURM that labels ran in the partition for CPUs, and all else in that for GPUs."""
    assert {job['kind'] for job in jobs} == {'prospect.evaluate', 'prospect.pod_train', 'prospect.relax'}
    wanted = {job['job_id'] for job in jobs}
    deadline = time.monotonic() + 60
    # The accounts follow when the jobs have ended.
    while not wanted <= set(accounts := read_accounts(cluster)):
        assert time.monotonic() < deadline, wanted - set(accounts)
        time.sleep(0.5)
    for job in jobs:
        assert (job['transport'], job['scheduler']) == ('core.ssh_async', 'core.slurm')
        state, partition, resources = accounts[job['job_id']]
        assert state == 'COMPLETED'
        assert partition == job['computer'].removeprefix('cluster-')
        assert ('gres/gpu=1' in resources) == (partition == 'gpu')
    partitions = {accounts[job['job_id']][1] for job in jobs}
    assert partitions == {'cpu', 'gpu'}


def read_accounts(cluster: Path) -> dict[str, list[str]]:
    """Return state, partition and resources of all jobs whose account is complete."""
    command = ['sacct', '--noheader', '--parsable2', '--allocations', '--format', 'JobID,State,Partition,AllocTRES']
    environment = {'SLURM_CONF': str(cluster / 'slurm' / 'slurm.conf'), 'PATH': '/usr/bin:/bin'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    accounts = {line.split('|')[0]: line.split('|')[1:] for line in done.stdout.splitlines()}
    return {job: account for job, account in accounts.items() if all(account)}
