"""Tests of pw.x as a calculator of ASE, as far as they need no pw.x."""

import numpy as np
import pytest
from aiida.orm import StructureData
from aiida_quantumespresso.calculations.functions.create_kpoints_from_distance import create_kpoints_from_distance
from ase import Atoms
from ase.build import bulk

from aiida_prospect.methods.evaluators.base import JobEnded, Unconverged
from aiida_prospect.methods.pw_calculator import (
    PwCalculator,
    PwFailed,
    bands_needed,
    check_parameters,
    mesh,
    read_results,
)

COMPLAINT = """
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%
     Error in routine check_atoms (1):
     atoms #   1 and #   2 overlap!
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%

     stopping ...
"""
SETTINGS = {'parameters': {}, 'kpoints_distance': 0.5, 'conv_thr_per_atom': 1e-8}


def some_cells():
    """Return skewed cells, and cells with vectors of one length, which get a mesh of one number."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        yield 5 * np.eye(3) + rng.uniform(-2, 2, (3, 3))
    for _ in range(20):
        vectors = 5 * np.eye(3) + rng.uniform(-2, 2, (3, 3))
        yield 5 * vectors / np.linalg.norm(vectors, axis=1)[:, None]
    yield bulk('Si').cell.array


@pytest.mark.parametrize('distance', [0.15, 0.31, 0.6])
def test_mesh_is_that_of_the_plugin(aiida_profile, distance):
    for cell in some_cells():
        structure = StructureData(ase=Atoms('Si', cell=cell, pbc=True))
        number, parity = type('Float', (), {'value': distance}), type('Bool', (), {'value': False})
        kpoints = create_kpoints_from_distance.__wrapped__(structure, number, parity)
        assert list(mesh(cell, distance)) == kpoints.get_kpoints_mesh()[0]


@pytest.mark.parametrize(
    ('output', 'errors', 'status', 'error', 'words'),
    [
        ('convergence NOT achieved after 100 iterations: stopping', '', 2, Unconverged, 'in 100 iterations'),
        ('JOB DONE. convergence NOT achieved after  7 iterations', '', 0, Unconverged, 'in 7 iterations'),
        (COMPLAINT, 'STOP 1', 1, PwFailed, 'status 1: .*check_atoms.* atoms # 1 and # 2 overlap!$'),
        ('iteration 1', 'SIGSEGV: invalid memory', 139, PwFailed, 'killed by signal 11: SIGSEGV'),
        ('iteration 1', '', -9, PwFailed, 'killed by signal 9: iteration 1'),
        ('iteration 1', '', 255, PwFailed, 'status 255'),
        ('', '', 0, PwFailed, 'wrote nothing'),
        ('JOB DONE.', '', 0, PwFailed, 'cannot be read'),
        ('iteration 1', '', -15, JobEnded, 'terminated'),
        ('iteration 1', '', 143, JobEnded, 'terminated'),
        ('', 'slurmstepd: error: *** STEP 7.2 ON n1 CANCELLED AT 12:00 DUE TO TIME LIMIT ***', 1, JobEnded, 'LIMIT'),
    ],
)
def test_what_went_wrong_is_told_apart(output, errors, status, error, words):
    with pytest.raises(error, match=words):
        read_results(output, errors, status=status)


@pytest.mark.parametrize(('highest', 'number', 'needed'), [('0.0049', 8, None), ('0.0050', 8, 12), ('0.3', 200, 210)])
def test_more_bands_are_wanted_if_the_highest_is_occupied_at_a_single_point(highest, number, needed):
    block = '\n     occupation numbers \n     1.0000   1.0000   1.0000   1.0000\n     0.9876   {}\n\n'
    output = f'     number of Kohn-Sham states= {number}\n' + block.format('-0.0500') + block.format(highest)
    assert bands_needed(output) == needed


@pytest.mark.parametrize(
    'namelist', [{'nspin': 2}, {'noncolin': True}, {'starting_magnetization': {'Fe': 0.5}}, {'hubbard_u': [1.0]}]
)
def test_what_needs_the_order_of_the_species_is_refused(namelist):
    with pytest.raises(ValueError, match='use the labels `quantumespresso`'):
        check_parameters({'SYSTEM': namelist})


def test_program_and_files_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no_such_pw\.x -npool 2'):
        PwCalculator(command='no_such_pw.x -npool 2', pseudopotentials={}, **SETTINGS)
    with pytest.raises(FileNotFoundError, match=r'Si\.upf'):
        PwCalculator(command='true', pseudopotentials={'Si': 'Si.upf'}, **SETTINGS)
