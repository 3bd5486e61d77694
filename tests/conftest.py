"""Fixtures for all tests: a profile that needs no service, the codes of this machine, structures."""

from __future__ import annotations

import logging
import os
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from aiida.manage.manager import Manager
from aiida.plugins import DataFactory
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.formula import Formula
from xdist.scheduler import LoadFileScheduling

from aiida_prospect.common.frames import Frames

pytest_plugins = ['aiida.tools.pytest_fixtures']

THREADS = dict.fromkeys(('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS'), '1')
ONE_THREAD = '\n'.join(f'export {name}={value}' for name, value in THREADS.items())
# By itself each `mpirun` of Open MPI ties its processes to the first cores, although another one is there already.
OPEN_MPI = (
    'export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1\n'
    'export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1'
)
POLL_INTERVAL = 0.2
VASP_STAND_IN = Path(__file__).parent / 'workflows' / 'label' / 'vasp_stand_in'
PSEUDOS = Path(os.environ.get('PROSPECT_TEST_PSEUDOS', '/usr/share/espresso/pseudo'))
# The tests of these share a search, see `workflows/conftest.py`, that takes longer than most files.
SHARE_A_SEARCH = tuple(
    f'tests/workflows/{name}'
    for name in ('export/', 'provenance/', 'report/', 'test_benchmark_loop.py', 'test_search.py', 'test_spending.py')
)

os.environ.update(THREADS)


class Scheduling(LoadFileScheduling):
    """Gives each file to one process, in the order of the tests, and to the same one all those that share a search."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return 'search' if file.startswith(SHARE_A_SEARCH) else file


def pytest_xdist_make_scheduler(config, log):
    """Share tests out among processes."""
    if config.getvalue('dist') != 'loadfile':
        return None
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    """Put first, for several processes, the files that run jobs, and last those of many tests, which are quick ones.

    So no process is left with a long file when the others have ended.
    """
    if not hasattr(config, 'workerinput'):
        return
    jobs, tests = Counter(), Counter()
    for item in items:
        jobs[item.path] += 'aiida_code_installed' in item.fixturenames
        tests[item.path] += 1
    items.sort(key=lambda item: (-jobs[item.path], tests[item.path]))


@pytest.fixture(scope='session', autouse=True)
def absl_leaves_streams_open():
    """Keep absl, which TensorFlow brings, from closing pytest's file when AiiDA configures its logging."""
    with suppress(ImportError):
        from absl.logging import PythonHandler

        PythonHandler.close = logging.Handler.close


@pytest.fixture(autouse=True, scope='session')
def pauses_between_polls():
    """Let a foreground run ask now and then, not without pause as in a test profile, whether its children are done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manager, 'create_runner', partialmethod(Manager.create_runner, poll_interval=POLL_INTERVAL))
        yield


@pytest.fixture
def aiida_localhost(aiida_computer):
    """Return this machine as a computer, without the login shell and the waiting times that a cluster needs."""
    computer = aiida_computer(label='localhost', minimum_job_poll_interval=POLL_INTERVAL)
    # The environment may hold an MPI of its own, whose `mpirun` starts pw.x as so many copies of one process.
    computer.set_mpirun_command(['/usr/bin/mpirun.openmpi', '-np', '{tot_num_mpiprocs}'])
    if not computer.is_configured:
        computer.configure(use_login_shell=False, safe_interval=0)
    return computer


@pytest.fixture
def python_code(aiida_code_installed):
    """Return the interpreter that runs the tests, as the one of the compute side."""
    return aiida_code_installed(
        label='python', filepath_executable=sys.executable, with_mpi=False, prepend_text=ONE_THREAD
    )


@pytest.fixture
def pytorch_code(aiida_code_installed):
    """Return an interpreter of an environment with the PyTorch backend of DeePMD-kit."""
    python = os.environ.get('PROSPECT_TEST_PYTORCH_PYTHON')
    if not python:
        pytest.skip('no PyTorch backend: PROSPECT_TEST_PYTORCH_PYTHON is not set; deploy/test.sh sets it')
    return aiida_code_installed(
        label='python-pytorch', filepath_executable=python, with_mpi=False, prepend_text=ONE_THREAD
    )


@pytest.fixture
def pw_code(aiida_code_installed):
    """Return ``pw.x`` of Quantum ESPRESSO."""
    executable = shutil.which('pw.x')
    if executable is None:
        pytest.skip('pw.x is not installed; deploy/test.sh installs it where it may')
    return aiida_code_installed(
        label='pw',
        filepath_executable=executable,
        default_calc_job_plugin='quantumespresso.pw',
        prepend_text=f'{ONE_THREAD}\n{OPEN_MPI}',
    )


@pytest.fixture
def pseudo_family(tmp_path):
    """Return a family with a norm-conserving PBE pseudopotential of silicon that needs but 20 Ry."""
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    label = 'rrkj-pbe'
    existing = CutoffsPseudoPotentialFamily.collection.find({'label': label})
    if existing:
        return existing[0]
    source = PSEUDOS / 'Si.pbe-rrkj.UPF'
    if not source.is_file():
        pytest.skip(f'{source} is not there; the package `quantum-espresso-data` of Debian has it')
    folder = tmp_path / 'pseudos'
    folder.mkdir()
    shutil.copy(source, folder / 'Si.UPF')
    family = CutoffsPseudoPotentialFamily.create_from_folder(folder, label, pseudo_type=UpfData)
    family.set_cutoffs({'Si': {'cutoff_wfc': 20.0, 'cutoff_rho': 80.0}}, 'normal', unit='Ry')
    return family


@pytest.fixture
def make_vasp_code(aiida_code_installed, tmp_path):
    """Return a factory of codes that stand in for VASP, which has a licence; they fail as they are told to."""

    def make(failures: str = ''):
        executable = tmp_path / 'vasp_std'
        executable.write_text(f'#!/bin/sh\nexec {sys.executable} {VASP_STAND_IN}/vasp.py\n')
        executable.chmod(0o755)
        said = f'export VASP_STAND_IN="{failures}" VASP_STAND_IN_MARKER="{tmp_path}/marker"'
        return aiida_code_installed(
            label=f'vasp-{tmp_path.name}',
            filepath_executable=str(executable),
            default_calc_job_plugin='vasp.vasp',
            with_mpi=False,
            prepend_text=f'{ONE_THREAD}\n{said}',
        )

    return make


@pytest.fixture
def potcar_family(aiida_profile, tmp_path):
    """Return the label of a family of POTCARs that are headers without data."""
    potcars = DataFactory('vasp.potcar')
    label = 'stand-in'
    if potcars.get_potcar_group(label) is None:
        runpy.run_path(str(VASP_STAND_IN / 'potcars.py'))['write_potcars'](tmp_path / 'potcars')
        potcars.upload_potcar_family(str(tmp_path / 'potcars'), label, 'headers', stop_if_existing=False)
    return label


@pytest.fixture
def silicon_frames() -> Callable[..., Frames]:
    """Return a factory of strained and rattled crystals of diamond silicon."""

    def factory(
        n_frames: int = 4, *, n_atoms: int = 8, noise: float = 0.1, strain: float = 0.03, seed: int = 0
    ) -> Frames:
        rng = np.random.default_rng(seed)
        structures = []
        for _ in range(n_frames):
            atoms = bulk('Si', 'diamond', a=5.43, cubic=n_atoms == 8)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-strain, strain, (3, 3))), scale_atoms=True)
            atoms.positions += rng.normal(0, noise, (len(atoms), 3))
            structures.append(atoms)
        return Frames.from_atoms(structures, origin=[f'rattled-{i:03d}' for i in range(n_frames)])

    return factory


@pytest.fixture
def generate_frames() -> Callable[..., Frames]:
    """Return a factory of random crystals, with the energies of one Lennard-Jones surface if asked for."""

    def factory(
        formula: str = 'Si8', n_frames: int = 4, *, volume: float = 20.0, seed: int = 0, labelled: bool = False
    ) -> Frames:
        rng = np.random.default_rng(seed)
        structures = [random_crystal(formula, volume, rng) for _ in range(n_frames)]
        frames = Frames.from_atoms(structures, origin=[f'{formula}-{i:03d}' for i in range(n_frames)])
        return label(frames) if labelled else frames

    return factory


def random_crystal(formula: str, volume: float, rng: np.random.Generator) -> Atoms:
    """Return atoms on some sites of a jittered lattice: random, but never on top of each other.

    :param volume: Å³ per atom.
    """
    numbers = rng.permutation(Atoms(list(Formula(formula))).numbers)
    n_sites = int(np.ceil(len(numbers) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(n_sites)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    sites = grid[rng.choice(len(grid), len(numbers), replace=False)] + rng.uniform(-0.15, 0.15, (len(numbers), 3))
    cell = np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3))
    cell *= (volume * len(numbers) / np.abs(np.linalg.det(cell))) ** (1 / 3)
    return Atoms(numbers, cell=cell, scaled_positions=sites / n_sites, pbc=True)


def label(frames: Frames) -> Frames:
    """Add energy, forces and stress of a smooth Lennard-Jones crystal that does not know the elements."""
    energy, forces, stress = [], [], []
    calculator = LennardJones(sigma=2.2, epsilon=0.5, rc=6.0, smooth=True)
    for atoms in frames.to_atoms():
        atoms.calc = calculator
        energy.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
        stress.append(atoms.get_stress(voigt=False))
    return frames.replace(energy=energy, forces=np.concatenate(forces), stress=stress, status=['ok'] * len(frames))
