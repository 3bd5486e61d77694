"""Runs the examples, as `verdi run` does, and the notebook on the search that one of them made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from aiida import orm
from aiida.cmdline.commands.cmd_run import run as verdi_run
from aiida.manage import get_manager
from click.testing import CliRunner

from aiida_prospect.methods.formats import read_frames
from aiida_prospect.workflows.search import SearchWorkChain

EXAMPLES = Path(__file__).parents[2] / 'examples'
# As small as it can be: the examples must run through, not find anything.
SMALL = {
    'search': {'budget': {'max_cycles': 1}, 'final': {'n_minima': 1}},
    'pool': {'n_structures': 10},
    'selection': {'selection': {'n_initial': 5, 'n_select': 2}},
    'train': {'n_models': 1},
    'explore': {'max_concurrent': 1, 'parameters': {'max_steps': 5, 'fmax': 0.02}},
    'label': {'relax': {'max_steps': 20}},
}
PKS: dict[str, int] = {}


@pytest.fixture
def run_example(python_code):
    """Return a function that runs an example and returns what it prints."""

    def run(name: str, *arguments: object) -> str:
        done = CliRunner().invoke(verdi_run, [str(EXAMPLES / name), *map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def search(run_example, tmp_path):
    """Return the search of the example, run once."""
    if 'search' not in PKS:
        overrides = tmp_path / 'small.yaml'
        # As people write numbers, which to PyYAML itself is text.
        overrides.write_text(yaml.safe_dump(SMALL).replace('fmax: 0.02', 'fmax: 2e-2'))
        told = run_example('search.py', overrides)
        PKS['search'] = int(told.split('Search ')[-1].split(':')[0])
    return orm.load_node(PKS['search'])


def test_search(search):
    assert search.process_class is SearchWorkChain
    assert search.outputs.ranking['minima'][0]['energy_above_best'] == 0
    assert search.inputs.explore.parameters['fmax'] == 0.02


def test_labels_become_an_ensemble_that_relaxes_a_pool(run_example, tmp_path):
    """One example goes on with what another one has left."""
    path = tmp_path / 'labels.extxyz'
    told = run_example('label_structures.py', path)
    labels = read_frames(path)
    assert list(labels.status) == ['ok'] * 16 + ['rejected']
    assert f'collapsed: rejected, {labels.reason[-1]}' in told
    told = run_example('train_ensemble.py', path)
    assert len(list(tmp_path.glob('potential_*.zip'))) == 2
    pk = told.split('Ensemble of process ')[1].split(';')[0]
    told = run_example('relax_pool.py', pk)
    process = orm.load_node(int(told.split('Process ')[1].split(':')[0]))
    assert set(process.inputs.potentials) == {'potential_00', 'potential_01'}
    assert len(process.outputs.pool) == 10


def test_provenance(search, run_example):
    told = run_example('ask_provenance.py')
    assert told == run_example('ask_provenance.py', search.pk)
    assert 'It was chosen in cycle' in told
    assert 'core seconds' in told


def test_notebook_runs_and_is_kept_without_outputs(search, monkeypatch, tmp_path):
    nbformat = pytest.importorskip('nbformat')
    client = pytest.importorskip('nbclient')
    notebook = nbformat.read(EXAMPLES / 'explore_search.ipynb', as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    # The kernel is a process of its own, which must find the profile of the tests.
    monkeypatch.setenv('AIIDA_PATH', str(Path(get_manager().get_config().dirpath).parent))
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path))
    profile = get_manager().get_profile().name
    for cell in cells:
        cell.source = cell.source.replace('load_profile()', f'load_profile({profile!r})')
    client.NotebookClient(notebook, timeout=300, kernel_name='python3').execute(env=dict(os.environ))
    printed = ''.join(output.get('text', '') for cell in cells for output in cell.outputs)
    assert f'Search {search.pk}: ' in printed
    pictures = [output for cell in cells for output in cell.outputs if 'image/png' in output.get('data', {})]
    assert len(pictures) >= 4


@pytest.mark.parametrize('path', sorted(EXAMPLES.glob('*.py')), ids=lambda path: path.name)
def test_every_example_is_described(path):
    assert f'verdi run examples/{path.name}' in (EXAMPLES.parent / 'docs' / 'other_projects.md').read_text()
