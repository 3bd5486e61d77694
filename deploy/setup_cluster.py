"""Make the AiiDA profile on PostgreSQL and RabbitMQ, and computers and codes from YAML files.

python deploy/setup_cluster.py profile --secrets ~/.config/aiida-prospect/secrets.env
python deploy/setup_cluster.py computers deploy/computers/*.yaml
python deploy/setup_cluster.py codes deploy/codes/*.yaml

All may be run again: what is there is brought to what the file says.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from aiida import load_profile, orm
from aiida.common.exceptions import NotExistent
from aiida.manage.configuration import create_profile, get_config
from aiida.manage.configuration.config import Config
from setup_profile import CACHED, ensure_code

OPTIONS = {
    'daemon.timeout': 30,
    # That of RabbitMQ newer than 3.8.14: what it warns of is cured by `consumer_timeout`, see deploy/rabbitmq.conf.
    'warnings.rabbitmq_version': False,
    'caching.enabled_for': CACHED,
}
DEFAULTS = {
    'PROSPECT_POSTGRES_HOST': '127.0.0.1',
    'PROSPECT_POSTGRES_PORT': '5432',
    'PROSPECT_POSTGRES_USER': 'aiida',
    'PROSPECT_POSTGRES_DATABASE': 'aiida',
    'PROSPECT_RABBITMQ_HOST': '127.0.0.1',
    'PROSPECT_RABBITMQ_PORT': '5672',
    'PROSPECT_RABBITMQ_USER': 'aiida',
}
PASSWORDS = ('PROSPECT_POSTGRES_PASSWORD', 'PROSPECT_RABBITMQ_PASSWORD')
COMPUTER_KEYS = {
    'label',
    'description',
    'hostname',
    'transport',
    'scheduler',
    'work_dir',
    'mpirun_command',
    'mpiprocs_per_machine',
    'default_memory_per_machine',
    'prepend_text',
    'minimum_job_poll_interval',
    'configure',
}
CODE_KEYS = {
    'label',
    'description',
    'computer',
    'filepath_executable',
    'default_calc_job_plugin',
    'with_mpi',
    'prepend_text',
}


def read_secrets(path: Path | None) -> dict[str, str]:
    """Return where the services are and their passwords; the environment goes before the file.

    :param path: lines ``NAME=value``.
    :raises SystemExit: if others may read the file, or a password is missing.
    """
    values = dict(DEFAULTS)
    if path is not None:
        if not path.is_file():
            raise SystemExit(f'{path} is not there; `bash deploy/services.sh up` makes it')
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SystemExit(f'{path} holds passwords and others may read it; mend it with: chmod 600 {path}')
        values.update(re.findall(r'^(PROSPECT_\w+)=(.*)$', path.read_text(), flags=re.MULTILINE))
    values.update({name: value for name, value in os.environ.items() if name in (*DEFAULTS, *PASSWORDS)})
    missing = [name for name in PASSWORDS if not values.get(name)]
    if missing:
        raise SystemExit(f'no {" and no ".join(missing)}, neither in the environment nor in a file given by --secrets')
    return values


def ensure_profile(config: Config, name: str, values: Mapping[str, str]) -> None:
    """Make the profile, or tell an existing one where the services are now."""
    storage = {
        'database_engine': 'postgresql_psycopg',
        'database_hostname': values['PROSPECT_POSTGRES_HOST'],
        'database_port': int(values['PROSPECT_POSTGRES_PORT']),
        'database_username': values['PROSPECT_POSTGRES_USER'],
        'database_password': values['PROSPECT_POSTGRES_PASSWORD'],
        'database_name': values['PROSPECT_POSTGRES_DATABASE'],
    }
    broker = {
        'broker_protocol': 'amqp',
        'broker_username': values['PROSPECT_RABBITMQ_USER'],
        'broker_password': values['PROSPECT_RABBITMQ_PASSWORD'],
        'broker_host': values['PROSPECT_RABBITMQ_HOST'],
        'broker_port': int(values['PROSPECT_RABBITMQ_PORT']),
        'broker_virtual_host': '',
    }
    if name in config.profile_names:
        profile = config.get_profile(name)
        if profile.storage_backend != 'core.psql_dos':
            raise SystemExit(f'the profile {name} is there and keeps its data in {profile.storage_backend}')
        profile.set_storage('core.psql_dos', {**profile.storage_config, **storage})
        profile.set_process_controller('core.rabbitmq', broker)
        config.update_profile(profile)
    else:
        storage['repository_uri'] = (Path(config.dirpath) / 'repository' / name).as_uri()
        create_profile(
            config,
            name=name,
            email='prospect@localhost',
            storage_backend='core.psql_dos',
            storage_config=storage,
            broker_backend='core.rabbitmq',
            broker_config=broker,
        )
        config.set_default_profile(name, overwrite=True)
    for option, value in OPTIONS.items():
        config.set_option(option, value, scope=name)
    config.store()
    # AiiDA keeps the passwords in it.
    Path(config.filepath).chmod(0o600)


def read_yaml(path: Path, keys: set[str]) -> dict[str, Any]:
    """Return the content of a file.

    :raises SystemExit: if a key is missing or unknown.
    """
    values = yaml.safe_load(path.read_text())
    if not isinstance(values, dict) or set(values) != keys:
        given = set(values) if isinstance(values, dict) else set()
        wrong = [*(f'`{key}` is missing' for key in sorted(keys - given))]
        wrong += [f'`{key}` is not known' for key in sorted(given - keys)]
        raise SystemExit(f'{path}: {"; ".join(wrong)}')
    return values


def ensure_computer(values: Mapping[str, Any]) -> orm.Computer:
    """Make a computer, or bring the one of that label to what the file says, and configure it for the user."""
    try:
        computer = orm.load_computer(values['label'])
    except NotExistent:
        computer = orm.Computer(label=values['label'])
    computer.description = values['description']
    computer.hostname = values['hostname']
    computer.transport_type = values['transport']
    computer.scheduler_type = values['scheduler']
    computer.set_workdir(values['work_dir'])
    computer.set_mpirun_command(values['mpirun_command'].split())
    computer.set_default_mpiprocs_per_machine(values['mpiprocs_per_machine'])
    computer.set_default_memory_per_machine(values['default_memory_per_machine'])
    computer.set_prepend_text(values['prepend_text'])
    computer.set_minimum_job_poll_interval(values['minimum_job_poll_interval'])
    computer.store()
    computer.configure(**values['configure'])
    return computer


def set_up_code(values: Mapping[str, Any], path: Path) -> None:
    """Make a code; one of that label that is something else now is kept under another label.

    :raises SystemExit: if its computer is not there.
    """
    try:
        computer = orm.load_computer(values['computer'])
    except NotExistent as error:
        raise SystemExit(f'{path}: there is no computer `{values["computer"]}`; computers come before codes') from error
    ensure_code(
        computer,
        values['label'],
        values['filepath_executable'],
        plugin=values['default_calc_job_plugin'],
        with_mpi=values['with_mpi'],
        prepend=values['prepend_text'],
    )
    code = orm.load_code(f'{values["label"]}@{values["computer"]}')
    code.description = values['description']


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--profile', default='prospect', help='name of the AiiDA profile')
    commands = parser.add_subparsers(dest='command', required=True)
    profile = commands.add_parser('profile', help='on PostgreSQL and RabbitMQ')
    profile.add_argument('--secrets', type=Path, help='file of mode 600 with the passwords')
    for name in ('computers', 'codes'):
        commands.add_parser(name).add_argument('files', type=Path, nargs='+')
    arguments = parser.parse_args()
    if arguments.command == 'profile':
        ensure_profile(get_config(create=True), arguments.profile, read_secrets(arguments.secrets))
        return
    load_profile(arguments.profile)
    for path in arguments.files:
        if arguments.command == 'computers':
            print(f'computer {ensure_computer(read_yaml(path, COMPUTER_KEYS)).label}')
        else:
            values = read_yaml(path, CODE_KEYS)
            set_up_code(values, path)
            print(f'code {values["label"]}@{values["computer"]}')


if __name__ == '__main__':
    main()
