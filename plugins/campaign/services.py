"""Storage, broker and daemon of a profile."""

from __future__ import annotations

from collections.abc import Iterator

from aiida.cmdline.utils.daemon import validate_daemon_env
from aiida.common import exceptions
from aiida.engine.daemon.client import DaemonClient, DaemonException, DaemonNotRunningException
from aiida.engine.processes.control import get_active_processes
from aiida.manage import get_config_option, get_manager
from aiida.manage.configuration import Profile

from aiida_prospect.campaign.findings import Finding, Level
from aiida_prospect.campaign.stranded import is_in_foreground

# Seconds; with the two of AiiDA's default commands of `verdi daemon` give up on a busy machine.
LEAST_DAEMON_TIMEOUT = 10
FULL = 0.9


def check_storage(profile: Profile) -> Finding:
    """Connect to the database."""
    subject = f'storage {profile.storage_backend}'
    try:
        get_manager().get_profile_storage()
    except exceptions.IncompatibleStorageSchema as exception:
        return Finding(Level.ERROR, subject, str(exception), 'verdi storage migrate')
    except exceptions.UnreachableStorage as exception:
        config = profile.storage_config
        place = f'{config.get("database_hostname", "")}:{config.get("database_port", "")}'
        remedy = f'start the database server that should answer at {place}' if place != ':' else 'verdi storage info'
        return Finding(Level.ERROR, subject, f'cannot be reached: {_first_line(exception)}', remedy)
    except (exceptions.StorageBackupError, exceptions.CorruptStorage, exceptions.ConfigurationError) as exception:
        return Finding(Level.ERROR, subject, _first_line(exception), 'verdi storage integrity; verdi storage info')
    return Finding(Level.OK, subject, f'answers, schema {profile.storage_cls.version_head()}')


def check_broker(profile: Profile) -> Finding:
    """Ask whether messages can be passed to the daemon."""
    broker = get_manager().get_broker()
    if broker is None:
        message = 'there is none: searches run in the foreground only, and `watch` cannot work'
        return Finding(Level.WARNING, 'broker', message, 'verdi profile configure-rabbitmq')
    subject = f'broker {profile.process_control_backend}'
    if broker.check_service_reachable():
        return Finding(Level.OK, subject, str(broker))
    if profile.process_control_backend == 'core.zeromq':
        return Finding(Level.WARNING, subject, 'does not run; it comes and goes with the daemon', 'verdi daemon start')
    return Finding(
        Level.ERROR, subject, f'cannot be reached: {broker}', 'start RabbitMQ, or `verdi profile configure-rabbitmq`'
    )


def check_daemon(profile: Profile) -> Iterator[Finding]:
    """Look at the daemon, how many workers it has, and whether they have room."""
    if profile.process_control_backend is None:
        return
    client, active = get_manager().get_daemon_client(), count_processes_of_daemon()
    try:
        client.get_status()
        workers = client.get_number_of_workers()
    except DaemonNotRunningException:
        level = Level.ERROR if active else Level.WARNING
        yield Finding(level, 'daemon', f'does not run, and {active} processes wait for it', 'verdi daemon start')
        return
    except DaemonException as exception:
        yield Finding(Level.ERROR, 'daemon', _first_line(exception), 'verdi daemon stop; verdi daemon start')
        return
    yield from _check_workers(client, workers, active)
    timeout = get_config_option('daemon.timeout')
    if timeout < LEAST_DAEMON_TIMEOUT:
        message = f'`daemon.timeout` is {timeout} s: on a busy machine commands give up too early'
        yield Finding(Level.WARNING, 'daemon', message, 'verdi config set daemon.timeout 30')


def count_processes_of_daemon() -> int:
    """Count the processes that have not ended and that the daemon should run."""
    return sum(not is_in_foreground(process) for process in get_active_processes())


def _check_workers(client: DaemonClient, workers: int, active: int) -> Iterator[Finding]:
    if not workers:
        yield Finding(Level.ERROR, 'daemon', 'runs without a worker', 'verdi daemon incr 1')
        return
    slots = workers * get_config_option('daemon.worker_process_slots')
    message = f'workers: {workers}; active processes: {active} in {slots} slots'
    if active > FULL * slots:
        yield Finding(Level.WARNING, 'daemon', f'{message}: no room for more', 'verdi daemon incr 1')
    else:
        yield Finding(Level.OK, 'daemon', message)
    outdated = validate_daemon_env(client)
    if outdated is not None:
        yield Finding(Level.WARNING, 'daemon', _first_line(outdated), 'verdi daemon restart')


def _first_line(words: object) -> str:
    return next((line for line in str(words).splitlines() if line.strip()), type(words).__name__)
