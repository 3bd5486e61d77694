import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.structures import frames_of

extract_structure = CalculationFactory('prospect.extract_structure')


@pytest.fixture
def dataset(generate_frames):
    return DatasetData(Frames.concatenate([generate_frames('Si8', 2), generate_frames('Al4O6', 2)]))


def test_cell_positions_and_elements_are_kept(dataset):
    structure, node = extract_structure.run_get_node(dataset, orm.Int(3))
    atoms, expected = structure.get_ase(), dataset.frames.to_atoms()[3]
    # AiiDA keeps 14 significant digits of numbers in the database.
    np.testing.assert_allclose(atoms.cell.array, expected.cell.array, rtol=1e-13)
    np.testing.assert_allclose(atoms.positions, expected.positions, rtol=1e-13)
    assert list(atoms.symbols) == list(expected.symbols)
    assert node.inputs.dataset.uuid == dataset.uuid
    assert structure.creator.pk == node.pk


def test_left_handed_cell_stays_left_handed():
    atoms = Atoms('SiO', positions=[(0, 0, 0), (9, -1, 2)], cell=[[0, 4, 0], [4, 0, 0], [0, 0, 4]], pbc=True)
    structure = extract_structure(DatasetData(Frames.from_atoms([atoms])), orm.Int(0))
    np.testing.assert_array_equal(structure.cell, atoms.cell.array)
    np.testing.assert_array_equal([site.position for site in structure.sites], atoms.positions)


def test_there_and_back(dataset):
    structure = extract_structure(dataset, orm.Int(2))
    np.testing.assert_allclose(frames_of(structure).positions, dataset.frames[2].positions, rtol=1e-13)


@pytest.mark.parametrize('index', [-1, 4])
def test_index_must_exist(dataset, index):
    with pytest.raises(ValueError, match=f'no frame {index} in a dataset of 4'):
        extract_structure(dataset, orm.Int(index))


def test_molecules_and_alloys_are_no_frames():
    molecule = orm.StructureData(ase=Atoms('H2', [(0, 0, 0), (0, 0, 1)], cell=[5, 5, 5], pbc=[True, True, False]))
    with pytest.raises(ValueError, match='not periodic'):
        frames_of(molecule)
    alloy = orm.StructureData(cell=np.eye(3).tolist())
    alloy.append_atom(symbols=['Si', 'Ge'], weights=[0.5, 0.5], position=(0, 0, 0))
    with pytest.raises(ValueError, match='exactly one element'):
        frames_of(alloy)
