"""The faults: each function disturbs a search, mends what it broke, and returns what it did."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import faulty_calculator
from aiida.manage import get_manager
from installation import WORKERS, cluster, command, scratch, service
from scene import Job, Missed, Scene

OUTAGE = 60.0
FULL_DISK = 30.0
ANY = ('label', 'train', 'relax')
# What is cut, and the file that is written after it.
RESULTS = {
    'label': ('evaluated.npz', 'statistics.json'),
    'train': ('model', 'results.json'),
    'relax': ('relaxed.npz', 'statistics.json'),
}


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    :param stages: in which it is injected, of ``label``, ``train``, ``relax``.
    :param inject: disturbs and mends.
    :param spoils_labels: whether it leaves fewer labels, so that the search may take another way.
    """

    name: str
    stages: tuple[str, ...]
    inject: Callable[[Scene], str]
    spoils_labels: bool = False


def pause(scene: Scene, longest: float) -> float:
    """Let a random time pass."""
    seconds = float(scene.rng.uniform(0, longest))
    time.sleep(seconds)
    return seconds


def kill_worker(scene: Scene) -> str:
    delay = pause(scene, 8)
    workers = sorted(int(pid) for pid in get_manager().get_daemon_client().get_worker_info()['info'])
    pid = int(scene.rng.choice(workers))
    os.kill(pid, signal.SIGKILL)
    return f'one of {len(workers)} workers killed after {delay:.1f} s'


def restart_daemon(scene: Scene) -> str:
    delay, away = pause(scene, 8), float(scene.rng.uniform(1, 10))
    command('verdi', 'daemon', 'stop')
    time.sleep(away)
    command('verdi', 'daemon', 'start', WORKERS)
    return f'stopped after {delay:.1f} s for {away:.0f} s'


def restart_service(name: str) -> Callable[[Scene], str]:
    def inject(scene: Scene) -> str:
        delay, away = pause(scene, 8), float(scene.rng.uniform(1, 10))
        service('stop', name)
        time.sleep(away)
        service('start', name)
        return f'stopped after {delay:.1f} s for {away:.0f} s'

    return inject


def sshd_down(scene: Scene) -> str:
    delay = pause(scene, 8)
    listener = (cluster() / 'run' / 'sshd.pid').read_text().split()[0]
    sessions = command('pgrep', '-P', listener, check=False).split()
    service('stop', 'sshd')
    # Connections outlive the daemon that took them.
    for pid in sessions:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    time.sleep(OUTAGE)
    service('start', 'sshd')
    return f'down after {delay:.1f} s for {OUTAGE:.0f} s, {len(sessions)} connections cut'


def slurmctld_down(scene: Scene) -> str:
    delay = pause(scene, 8)
    service('stop', 'slurmctld')
    time.sleep(OUTAGE)
    service('start', 'slurmctld')
    return f'down after {delay:.1f} s for {OUTAGE:.0f} s'


def cancel(scene: Scene) -> str:
    job = scene.wait_for_job()
    delay = pause(scene, 1)
    command('scancel', job.identifier)
    return f'job {job.pk} cancelled {delay:.1f} s after it was seen running'


def exceed_wall_time(scene: Scene) -> str:
    """Stop the processes of a job, as a file system that hangs would, and lower its limit to a minute, the least."""
    job = scene.wait_for_job()
    command('scontrol', 'update', f'JobId={job.identifier}', 'TimeLimit=1')
    stopped, deadline = [], time.monotonic() + 30
    while not stopped:
        # A job begins in a shell.
        if time.monotonic() > deadline:
            raise Missed(f'job {job.pk} had no process')
        stopped = [pid for pid in processes_of(job) if b'aiida_prospect' in command_line(pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    return f'{len(stopped)} processes of job {job.pk} stopped, limit lowered to a minute'


def processes_of(job: Job) -> list[int]:
    """Return the processes of a job; other clusters on this machine may have jobs of the same number."""
    wanted = {f'SLURM_JOB_ID={job.identifier}'.encode(), f'SLURM_CONF={os.environ["SLURM_CONF"]}'.encode()}
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if wanted <= set((folder / 'environ').read_bytes().split(b'\0')):
                found.append(int(folder.name))
    return found


def command_line(pid: int) -> bytes:
    """Return how a process was called; nothing if it has ended."""
    with suppress(OSError):
        return Path(f'/proc/{pid}/cmdline').read_bytes()
    return b''


def fill_disk(scene: Scene) -> str:
    delay, path = pause(scene, 8), scratch() / 'filling'
    try:
        with suppress(OSError), path.open('wb', buffering=0) as handle:
            while handle.write(bytes(1 << 16)):
                pass
        time.sleep(FULL_DISK)
    finally:
        path.unlink()
    return f'no byte left after {delay:.1f} s for {FULL_DISK:.0f} s'


def truncate(scene: Scene) -> str:
    kind = re.sub(r'^cycle_\d+_|^final_', '', scene.stage)
    result, last = RESULTS[{'explore': 'relax'}.get(kind, kind) if scene.stage != 'final_label' else 'relax']
    job = scene.wait_for_job()
    deadline = time.monotonic() + 120
    while not (job.folder / last).is_file():
        if time.monotonic() > deadline:
            raise Missed(f'job {job.pk} has written no {last}')
        time.sleep(0.01)
    size = (job.folder / result).stat().st_size
    os.truncate(job.folder / result, size // 2)
    return f'{result} of job {job.pk} cut from {size} to {size // 2} bytes'


def spoil_label(order: str) -> Callable[[Scene], str]:
    def inject(scene: Scene) -> str:
        job = scene.wait_for_job()
        path = job.folder / faulty_calculator.ORDER
        path.write_text(order)
        deadline = time.monotonic() + 60
        while path.exists():
            if time.monotonic() > deadline:
                raise Missed(f'job {job.pk} took no order')
            time.sleep(0.1)
        return f'one frame of job {job.pk}'

    return inject


# The order is that of the first round.
FAULTS = {
    fault.name: fault
    for fault in (
        Fault('kill -9 of a daemon worker', ANY, kill_worker),
        Fault('scancel of a training', ('train',), cancel),
        Fault('scancel of a relaxation', ('relax',), cancel),
        Fault('truncated result of a label', ('label',), truncate),
        Fault('restart of RabbitMQ', ANY, restart_service('rabbitmq')),
        Fault('scancel of a label', ('label',), cancel),
        Fault('truncated result of a training', ('train',), truncate),
        Fault('truncated result of a relaxation', ('relax',), truncate),
        Fault('sshd down for a minute', ANY, sshd_down),
        Fault('restart of PostgreSQL', ANY, restart_service('postgres')),
        Fault('NaN in a label', ('label',), spoil_label(faulty_calculator.NAN), True),
        Fault('stop and start of the daemon', ANY, restart_daemon),
        Fault('slurmctld down for a minute', ANY, slurmctld_down),
        Fault('wall time of a training', ('train',), exceed_wall_time),
        Fault('wall time of a relaxation', ('relax',), exceed_wall_time),
        Fault('label that does not converge', ('label',), spoil_label(faulty_calculator.UNCONVERGED), True),
        Fault('full scratch disk', ANY, fill_disk),
    )
}
