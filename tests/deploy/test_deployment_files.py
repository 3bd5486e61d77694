"""Tests of what cannot be run in the test suite, because it needs containers or a cluster of somebody else."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / 'deploy'
COMPUTERS = sorted((DEPLOY / 'computers').glob('*.yaml'))
CODES = sorted((DEPLOY / 'codes').glob('*.yaml'))
SECRETS = 'PROSPECT_POSTGRES_PASSWORD=one\nPROSPECT_RABBITMQ_PASSWORD=two\n'


@pytest.fixture
def setup_cluster(monkeypatch):
    """Return the script as a module, with nothing about services in the environment."""
    monkeypatch.syspath_prepend(DEPLOY)
    for name in os.environ:
        if name.startswith('PROSPECT_'):
            monkeypatch.delenv(name)
    return importlib.import_module('setup_cluster')


def test_services_listen_on_loopback_and_have_no_password_of_their_own():
    services = yaml.safe_load((DEPLOY / 'compose.yaml').read_text())['services']
    ports = [port for service in services.values() for port in service.get('ports', [])]
    assert len(ports) == 2
    assert all(port.startswith('${PROSPECT_BIND:-127.0.0.1}:') for port in ports)
    for service in services.values():
        for name, value in service['environment'].items():
            if 'PASS' in name:
                assert re.fullmatch(r'\$\{PROSPECT_\w+_PASSWORD:\?[^}]*\}', value)
    images = [service['image'] for service in services.values() if 'image' in service]
    assert all(re.search(r':\d+(\.\d+)*$', image) for image in images)


def test_what_the_services_need_is_there():
    services = yaml.safe_load((DEPLOY / 'compose.yaml').read_text())['services']
    mounts = [mount.split(':') for service in services.values() for mount in service['volumes']]
    assert [DEPLOY / source for source, *_ in mounts if source.endswith('.conf')] == [DEPLOY / 'rabbitmq.conf']
    assert re.search(r'^consumer_timeout = \d{9,}$', (DEPLOY / 'rabbitmq.conf').read_text(), flags=re.MULTILINE)
    build = services['aiida']['build']
    context = (DEPLOY / build['context']).resolve()
    copied = re.findall(r'^COPY (.+) \S+$', (context / build['dockerfile']).read_text(), flags=re.MULTILINE)
    for name in ' '.join(copied).split():
        assert (context / name).exists(), name


def test_passwords_of_services_are_made_for_one_reader(tmp_path):
    """With a stand-in for the engine of containers, which writes down how it was called."""
    engine, calls = tmp_path / 'docker', tmp_path / 'calls'
    engine.write_text(f'#!/bin/sh\necho "$@" >>{calls}\necho "(healthy)"; echo "(healthy)"\n')
    engine.chmod(0o755)
    secrets = tmp_path / 'folder' / 'secrets.env'
    environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PROSPECT_SECRETS': str(secrets)}
    contents = []
    for _ in range(2):
        subprocess.run(['bash', DEPLOY / 'services.sh', 'up'], env=environment, check=True, capture_output=True)
        contents.append(secrets.read_text())
    assert contents[0] == contents[1]
    assert secrets.stat().st_mode & 0o077 == 0
    passwords = re.findall(r'PASSWORD=(\w{20,})$', contents[0], flags=re.MULTILINE)
    assert len(set(passwords)) == 2
    assert f'--env-file {secrets}' in calls.read_text()
    assert not any(password in calls.read_text() for password in passwords)
    secrets.chmod(0o644)
    done = subprocess.run(['bash', DEPLOY / 'services.sh', 'up'], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'chmod 600' in done.stderr


def test_secrets_that_others_may_read_are_refused(setup_cluster, tmp_path):
    path = tmp_path / 'secrets.env'
    path.write_text(SECRETS)
    path.chmod(0o644)
    with pytest.raises(SystemExit, match='chmod 600'):
        setup_cluster.read_secrets(path)
    path.chmod(0o600)
    assert setup_cluster.read_secrets(path)['PROSPECT_RABBITMQ_PASSWORD'] == 'two'


def test_environment_goes_before_the_file_and_a_missing_password_is_named(setup_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv('PROSPECT_POSTGRES_PASSWORD', 'three')
    with pytest.raises(SystemExit, match='no PROSPECT_RABBITMQ_PASSWORD, neither'):
        setup_cluster.read_secrets(None)
    path = tmp_path / 'secrets.env'
    path.write_text(SECRETS)
    path.chmod(0o600)
    assert setup_cluster.read_secrets(path)['PROSPECT_POSTGRES_PASSWORD'] == 'three'


@pytest.mark.parametrize('path', [*COMPUTERS, *CODES], ids=lambda path: path.stem)
def test_computers_and_codes_fit_each_other(path):
    values = yaml.safe_load(path.read_text())
    computers = {yaml.safe_load(item.read_text())['label'] for item in COMPUTERS}
    if path in CODES:
        assert values['computer'] in computers
        assert values['filepath_executable'].startswith('/')
        return
    assert path.stem == values['label']
    # SLURM reads directives up to the first command only.
    lines = values['prepend_text'].splitlines()
    directives = [line.startswith('#SBATCH') for line in lines]
    assert directives == sorted(directives, reverse=True)
    assert any(directives) == (values['scheduler'] == 'core.slurm')
    assert any('OMP_NUM_THREADS=1' in line for line in lines)


def test_misspelt_key_is_named(setup_cluster, tmp_path):
    path = tmp_path / 'computer.yaml'
    path.write_text(COMPUTERS[0].read_text().replace('work_dir:', 'workdir:'))
    with pytest.raises(SystemExit, match='`work_dir` is missing; `workdir` is not known'):
        setup_cluster.read_yaml(path, setup_cluster.COMPUTER_KEYS)


def test_compute_side_has_what_the_package_needs_and_no_aiida():
    """The same versions in the recipe for conda, in the script and in the extras of the package."""
    recipe = yaml.safe_load((DEPLOY / 'compute-environment.yaml').read_text())
    named = recipe['dependencies'][-1]['pip']
    script = (DEPLOY / 'compute-environment.sh').read_text()
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = project['optional-dependencies']
    assert extras['deepmd'][0] in script
    assert extras['deepmd-pytorch'][0] in script
    assert extras['deepmd-pytorch'][0] in named
    assert not any('aiida' in item for item in named)
    for item in named[1:]:
        assert f"'{item}'" in script
        assert item in project['dependencies']
