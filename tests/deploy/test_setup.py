"""Tests of the scripts that the quick start is made of."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from aiida import orm
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

DEPLOY = Path(__file__).parents[2] / 'deploy'


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def pseudos() -> ModuleType:
    module = load('setup_pseudos')
    if not module.DEBIAN_FOLDER.is_dir():
        pytest.skip('needs the package quantum-espresso-data, which deploy/test.sh installs where it may')
    return module


def test_profile(tmp_path):
    """From nothing to a profile with this machine and its interpreter; a second time nothing is made again."""
    command = [sys.executable, DEPLOY / 'setup_profile.py', '--python', sys.executable, '--work', tmp_path / 'work']
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path)}
    for _ in range(2):
        subprocess.run(command, env=environment, check=True)
    assert (tmp_path / '.aiida' / 'config.json').is_file()


def test_profile_needs_no_plugin_that_is_optional():
    """AiiDA refuses an option that names a calculation exactly which cannot be loaded."""
    assert all('*' in name for name in load('setup_profile').CACHED)


def test_code_that_has_moved(aiida_localhost):
    """A code whose executable is another one now gives way to a new code, and keeps its results under another label."""
    setup = load('setup_profile')
    for executable in ('/bin/true', '/bin/true', '/bin/false'):
        setup.ensure_code(aiida_localhost, 'moving', executable, plugin=None, with_mpi=None, prepend='')
    query = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': {'like': 'moving%'}})
    old, new = sorted(query.all(flat=True), key=lambda code: code.pk)
    assert (str(old.filepath_executable), old.is_hidden) == ('/bin/true', True)
    assert (str(new.filepath_executable), new.full_label, new.is_hidden) == ('/bin/false', 'moving@localhost', False)


def test_family_is_made_once(pseudos, tmp_path):
    """Equal files and cut-offs are one family, others another one, and the recommended cut-offs are those given."""
    (tmp_path / 'Si.UPF').write_bytes((pseudos.DEBIAN_FOLDER / pseudos.DEBIAN_FILES['Si']).read_bytes())
    files = pseudos.upf_files(tmp_path)
    low, high = ({'Si': {'cutoff_wfc': cutoff, 'cutoff_rho': 4 * cutoff}} for cutoff in (20.0, 30.0))
    label = pseudos.ensure_family(tmp_path, files, low)
    assert pseudos.ensure_family(tmp_path, files, low) == label
    assert pseudos.ensure_family(tmp_path, files, high) != label
    family = CutoffsPseudoPotentialFamily.collection.get(label=label)
    assert family.get_recommended_cutoffs(elements=('Si',), unit='Ry') == (20.0, 80.0)


def test_refusals_of_pseudos(pseudos, tmp_path):
    """What is missing is named, with what to do."""
    with pytest.raises(SystemExit, match=r'no files'):
        pseudos.upf_files(tmp_path)
    content = (pseudos.DEBIAN_FOLDER / pseudos.DEBIAN_FILES['Si']).read_bytes()
    (tmp_path / 'Si.UPF').write_bytes(content)
    files = pseudos.upf_files(tmp_path)
    with pytest.raises(SystemExit, match=r'--cutoffs FILE'):
        pseudos.find_cutoffs(tmp_path, None)
    with pytest.raises(SystemExit, match=r'no cut-offs for Si'):
        pseudos.ensure_family(tmp_path, files, {})
    (tmp_path / 'Si.other.UPF').write_bytes(content)
    with pytest.raises(SystemExit, match=r'two files for Si'):
        pseudos.upf_files(tmp_path)


def test_quickstart_explains_itself():
    shown = subprocess.run(['bash', DEPLOY / 'quickstart.sh', '--help'], capture_output=True, text=True, check=True)
    assert '--labels' in shown.stdout


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['si8'], '`si8` is no formula'),
        (['--seed', '2', 'si8'], '`si8` is no formula'),
        (['--labels', 'quantumespreso'], 'the quick start knows calculator and quantumespresso'),
        (['--pseudos', 'folder'], '--pseudos belongs to --labels quantumespresso'),
        (['--cutoffs', 'file'], '--cutoffs belongs to --pseudos FOLDER'),
        (['--labels', 'quantumespresso', '--pseudos', '/', '--cutoffs', '/nowhere'], 'there is no file /nowhere'),
        (['--labels'], '--labels needs a value'),
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, list) else '',
)
def test_quickstart_refuses_before_it_installs(tmp_path, arguments, words):
    environment = {**os.environ, 'PROSPECT_HOME': str(tmp_path / 'home')}
    command = ['bash', DEPLOY / 'quickstart.sh', '--env', tmp_path / 'environment', *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_long_command_shows_its_last_line_in_a_terminal():
    """And nothing of it is left there."""
    script = f'set -euo pipefail; ROOT=/; source {DEPLOY}/lib.sh; quietly bash -c "echo at work; sleep 4"; echo ended'
    reader, terminal = os.openpty()
    subprocess.run(['bash', '-c', script], stdin=terminal, stdout=terminal, stderr=terminal, check=True)
    os.close(terminal)
    shown = ''
    # It comes in pieces; after the last one a terminal without another end gives an error.
    with contextlib.suppress(OSError):
        while piece := os.read(reader, 10000):
            shown += piece.decode()
    os.close(reader)
    assert 's  at work' in shown
    assert shown.endswith('\r\x1b[Kended\r\n')


def test_cutoffs_that_are_no_json(pseudos, tmp_path):
    (tmp_path / 'cutoffs.json').write_text('{Si: 40}')
    with pytest.raises(SystemExit, match=r'cutoffs\.json is no JSON: .*; give them with `--cutoffs FILE`'):
        pseudos.find_cutoffs(tmp_path, tmp_path / 'cutoffs.json')
