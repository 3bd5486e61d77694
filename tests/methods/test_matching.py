"""Tests for crystals on their own; how they are compared is tested with the ranking of minima."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Structure
from pymatgen.io.cif import CifFile

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.matching import cif_text, structure_of, symmetry


def test_cif_has_the_conventional_cell_of_a_crystal_that_is_a_little_off():
    """Eight places of rock salt, made of one of each element by its symmetry."""
    atoms = bulk('NaCl', 'rocksalt', a=5.6)
    atoms.positions[1] += (0.01, -0.02, 0.01)
    text = cif_text(structure_of(Frames.from_atoms([atoms])), 0.1)
    block = CifFile.from_str(text).data.popitem()[1]
    assert int(block['_symmetry_Int_Tables_number']) == 225
    assert len(block['_atom_site_label']) == 2
    written = Structure.from_str(text, fmt='cif')
    assert len(written) == 8
    assert written.lattice.parameters == pytest.approx((5.6, 5.6, 5.6, 90, 90, 90), abs=0.01)


def test_crystal_that_cannot_be_analysed_is_written_as_it_is():
    atoms = bulk('Si')
    atoms.positions[1] = atoms.positions[0]
    crystal = structure_of(Frames.from_atoms([atoms]))
    assert symmetry(crystal, 0.1).symbol == 'P1'
    block = CifFile.from_str(cif_text(crystal, 0.1)).data.popitem()[1]
    assert int(block['_symmetry_Int_Tables_number']) == 1
    assert np.allclose([float(block[f'_cell_length_{axis}']) for axis in 'abc'], atoms.cell.lengths(), atol=1e-6)
