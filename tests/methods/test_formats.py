import dpdata
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import read, write

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.formats import FileFormat, read_frames, write_frames

DEEPMD = [FileFormat.DEEPMD, FileFormat.DEEPMD_MIXED]
PLAIN = [FileFormat.EXTXYZ, FileFormat.ASE_DB]
TYPE_MAP = ['Si', 'O', 'Na']


@pytest.fixture
def frames():
    """Return frames of all sizes and elements that know everything, with words that a reader could mistake."""
    rng = np.random.default_rng(0)
    words = [
        'a "b" = c\\d',
        '012',
        'T',
        '',
        '[1, 2]',
        '{α} 0.5\n1',
        "it's",
        '_JSON 1',
        ' pbc="F" ',
        'nan',
        '1 2 3',
        'x',
    ]
    n_atoms = rng.integers(1, 9, len(words))
    n, m = len(words), n_atoms.sum()
    return Frames(
        numbers=rng.choice([8, 11, 14], m),
        offsets=np.concatenate([[0], np.cumsum(n_atoms)]),
        positions=rng.normal(0, 30, (m, 3)),
        cells=5 * np.eye(3) + rng.normal(0, 0.3, (n, 3, 3)),
        energy=rng.normal(0, 100, n),
        forces=rng.normal(size=(m, 3)) * 10.0 ** rng.integers(-12, 3, (m, 3)),
        stress=rng.normal(size=(n, 3, 3)),
        energy_spread=rng.random(n),
        forces_spread=rng.random(m),
        energy_initial=rng.random(n),
        status=['ok'] * n,
        reason=words,
        origin=words[::-1],
        source=range(n),
        steps=range(n, 0, -1),
    )


@pytest.mark.parametrize('format', FileFormat)
def test_round_trip_is_exact(frames, tmp_path, format):
    write_frames(frames, tmp_path / 'frames', format)
    assert read_frames(tmp_path / 'frames', format).equals(frames)


@pytest.mark.parametrize('format', FileFormat)
def test_round_trip_of_structures_only(frames, tmp_path, format):
    bare = Frames(frames.numbers, frames.offsets, frames.positions, frames.cells)
    write_frames(bare, tmp_path / 'frames', format)
    assert read_frames(tmp_path / 'frames', format).equals(bare)


@pytest.mark.parametrize('format', PLAIN)
def test_round_trip_with_failed_labels(frames, tmp_path, format):
    energy, forces, stress = frames.energy.copy(), frames.forces.copy(), frames.stress.copy()
    energy[3], forces[frames.frame_of_atom == 3], stress[3] = np.nan, np.nan, np.nan
    status = np.where(np.arange(len(frames)) == 3, 'failed', 'ok')
    failed = frames.replace(energy=energy, forces=forces, stress=stress, status=status)
    write_frames(failed, tmp_path / 'frames', format)
    assert read_frames(tmp_path / 'frames', format).equals(failed)


@pytest.mark.parametrize('format', FileFormat)
def test_round_trip_with_symmetric_stress(frames, tmp_path, format):
    symmetric = frames.replace(stress=frames.stress + frames.stress.transpose(0, 2, 1))
    write_frames(symmetric, tmp_path / 'frames', format)
    assert read_frames(tmp_path / 'frames', format).equals(symmetric)


@pytest.mark.parametrize('name', ['x.extxyz', 'x.db'])
def test_ase_understands_what_is_written(frames, tmp_path, name):
    symmetric = frames.replace(stress=frames.stress + frames.stress.transpose(0, 2, 1))
    write_frames(symmetric, tmp_path / name)
    for i, (atoms, expected) in enumerate(zip(read(tmp_path / name, ':'), symmetric.to_atoms(), strict=True)):
        assert atoms == expected
        assert atoms.get_potential_energy() == symmetric.energy[i]
        np.testing.assert_array_equal(atoms.get_forces(), symmetric[i].forces)
        np.testing.assert_array_equal(atoms.get_stress(voigt=False), symmetric.stress[i])


@pytest.mark.parametrize('name', ['x.extxyz', 'x.db'])
def test_files_of_ase_are_read(tmp_path, name):
    atoms = bulk('NaCl', 'rocksalt', a=5.6)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=[[0, 0, 1], [0, 0, -1]], stress=[1, 2, 3, 4, 5, 6])
    write(tmp_path / name, [atoms, bulk('Si')])
    frames = read_frames(tmp_path / name)
    assert frames.formulas == ['ClNa', 'Si2']
    np.testing.assert_array_equal(frames.energy, [-3, np.nan])
    np.testing.assert_array_equal(frames.stress[0], [[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    np.testing.assert_array_equal(frames.forces[:, 2], [1, -1, np.nan, np.nan])


def test_changed_stress_is_not_overruled_by_what_was_kept_beside(frames, tmp_path):
    write_frames(frames, tmp_path / 'x.db')
    atoms = frames.to_atoms()[0]
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, stress=np.arange(6.0))
    connect(tmp_path / 'x.db').update(1, atoms=atoms)
    read_back = read_frames(tmp_path / 'x.db')
    np.testing.assert_array_equal(read_back.stress[0], [[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    np.testing.assert_array_equal(read_back.stress[1:], frames.stress[1:])


@pytest.mark.parametrize('name', ['x.extxyz', 'x.db'])
def test_molecules_are_refused(tmp_path, name):
    write(tmp_path / name, [bulk('Si'), Atoms('H2', [(0, 0, 0), (0, 0, 1)], cell=[5, 5, 5], pbc=(True, True, False))])
    with pytest.raises(ValueError, match=r'structure 1 \(H2\) is not periodic'):
        read_frames(tmp_path / name)


@pytest.mark.parametrize('name', ['x.extxyz', 'x.db'])
def test_nonsense_is_refused(tmp_path, name):
    (tmp_path / name).write_text('this is no file of frames\n' * 100)
    with pytest.raises(ValueError, match='is no'):
        read_frames(tmp_path / name)


def test_virial_is_minus_stress_times_volume(tmp_path):
    stress = np.array([[[0.01, 0.002, 0], [0.002, 0.02, 0], [0, 0, -0.03]]])
    frames = Frames.from_atoms([bulk('Si', cubic=True)], energy=[-40.0], forces=np.zeros((8, 3)), stress=stress)
    write_frames(frames, tmp_path, 'deepmd/npy')
    system = dpdata.LabeledSystem(str(tmp_path / 'Si8'), fmt='deepmd/npy')
    np.testing.assert_allclose(system['virials'], -stress * frames.volumes[0], rtol=1e-15)


@pytest.mark.parametrize('format', DEEPMD)
@pytest.mark.parametrize('asked', [['Na', 'Cl'], ['Cl', 'Na']])
def test_deepmd_kit_understands_what_is_written(tmp_path, generate_frames, format, asked):
    from deepmd.utils.data import DeepmdData

    frames = generate_frames('Na2Cl2', 1, labelled=True)
    write_frames(frames, tmp_path, format, asked)
    (system,) = tmp_path.iterdir()
    data = DeepmdData(str(system), type_map=['Na', 'Cl'], sort_atoms=False)
    data.add('energy', 1, high_prec=True).add('force', 3, atomic=True).add('virial', 9)
    batch = data.get_batch(1)
    assert [['Na', 'Cl'][index] for index in np.ravel(batch['type'])] == frames.to_atoms()[0].get_chemical_symbols()
    assert np.ravel(batch['energy']) == frames.energy
    np.testing.assert_allclose(np.ravel(batch['force']), frames.forces.ravel(), rtol=1e-6)
    np.testing.assert_allclose(np.ravel(batch['virial']), -(frames.stress * frames.volumes[0]).ravel(), rtol=1e-6)


@pytest.mark.parametrize('format', DEEPMD)
def test_type_map_is_written_as_given(frames, tmp_path, format):
    asked = ['O', 'Al', 'Si', 'Na']
    write_frames(frames, tmp_path, format, asked)
    systems = list(tmp_path.iterdir())
    assert systems
    for system in systems:
        assert (system / 'type_map.raw').read_text().split() == asked
    assert read_frames(tmp_path, format).equals(frames)


@pytest.mark.parametrize('format', DEEPMD)
@pytest.mark.parametrize('asked', [['Na', 'O', 'Si'], ['Si', 'H', 'O', 'Na'], ['O', 'Na', 'Si']])
def test_elements_are_read_by_name_whatever_order_is_asked_for(frames, tmp_path, format, asked):
    write_frames(frames, tmp_path, format, TYPE_MAP)
    assert read_frames(tmp_path, format, asked).equals(frames)


@pytest.mark.parametrize('format', FileFormat)
def test_elements_outside_the_type_map_are_refused(frames, tmp_path, format):
    with pytest.raises(ValueError, match='Na not in the type map'):
        write_frames(frames, tmp_path / 'frames', format, ['Si', 'O'])
    assert not (tmp_path / 'frames').exists()
    write_frames(frames, tmp_path / 'frames', format)
    with pytest.raises(ValueError, match='Na not in the type map'):
        read_frames(tmp_path / 'frames', format, ['Si', 'O'])


@pytest.mark.parametrize('format', FileFormat)
@pytest.mark.parametrize('type_map', [['Si', 'O', 'Na', 'Si'], ['Si', 'O', 'Na', 'Xx']])
def test_type_map_must_name_elements_once(frames, tmp_path, format, type_map):
    with pytest.raises(ValueError, match=r'twice|no element'):
        write_frames(frames, tmp_path / 'frames', format, type_map)


@pytest.mark.parametrize('format', DEEPMD)
def test_types_without_names_need_a_type_map(frames, tmp_path, format):
    write_frames(frames, tmp_path, format, TYPE_MAP)
    for path in tmp_path.rglob('type_map.raw'):
        path.unlink()
    with pytest.raises(ValueError, match=r'has no `type_map\.raw`'):
        read_frames(tmp_path, format)
    with pytest.raises(ValueError, match='but a type map of 1 elements'):
        read_frames(tmp_path, format, ['Si'])
    assert read_frames(tmp_path, format, TYPE_MAP).equals(frames)


def test_atoms_are_never_sorted(tmp_path):
    """The same elements in another order are another system, because a system has one order of types."""
    numbers = [[14, 8, 8], [8, 14, 8], [14, 8, 8]]
    structures = [Atoms(z, positions=np.arange(9.0).reshape(3, 3), cell=[5, 5, 5], pbc=True) for z in numbers]
    frames = Frames.from_atoms(structures, energy=[1.0, 2.0, 3.0])
    write_frames(frames, tmp_path, 'deepmd/npy')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['O2Si', 'O2Si-1']
    assert read_frames(tmp_path, 'deepmd/npy').equals(frames)


def test_mixed_puts_compositions_of_one_size_together(tmp_path, generate_frames):
    frames = Frames.concatenate([generate_frames(f, 2, labelled=True) for f in ('Na2Cl2', 'NaCl3', 'Si8')])
    write_frames(frames, tmp_path, 'deepmd/npy/mixed')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['4', '8']
    assert read_frames(tmp_path, 'deepmd/npy/mixed').equals(frames)


@pytest.mark.parametrize('format', ['deepmd/npy', 'deepmd/npy/mixed'])
def test_systems_of_dpdata_are_read(tmp_path, format, generate_frames):
    frames = generate_frames('Na2Cl2', 3, labelled=True)
    frames = frames.select([0, 0, 0]).replace(energy=[1.0, 2.0, 3.0])
    atoms = frames.to_atoms()
    system = dpdata.LabeledSystem(
        data={
            'atom_names': ['Na', 'Cl'],
            'atom_numbs': [2, 2],
            'atom_types': np.array([['Na', 'Cl'].index(symbol) for symbol in atoms[0].symbols]),
            'orig': np.zeros(3),
            'cells': frames.cells,
            'coords': frames.positions.reshape(3, 4, 3),
            'energies': frames.energy,
            'forces': frames.forces.reshape(3, 4, 3),
        }
    )
    if format == 'deepmd/npy':
        system.to(format, str(tmp_path / 'data'), set_size=2)
    else:
        dpdata.MultiSystems(system).to(format, str(tmp_path / 'data'), atom_numb_pad=8)
    found = read_frames(tmp_path / 'data', format)
    assert found.formulas == frames.formulas
    assert found.stress is None
    np.testing.assert_array_equal(found.energy, frames.energy)
    assert {tuple(position) for position in found.positions} == {tuple(position) for position in frames.positions}


@pytest.mark.parametrize('format', DEEPMD)
@pytest.mark.parametrize('field', ['energy', 'forces', 'stress'])
def test_missing_labels_never_become_training_data(frames, tmp_path, format, field):
    value = getattr(frames, field).copy()
    value[-1] = np.nan
    with pytest.raises(ValueError, match=f'1 of 12 frames have no `{field}`: 11; select the others first'):
        write_frames(frames.replace(**{field: value}), tmp_path / 'frames', format)
    assert not (tmp_path / 'frames').exists()


@pytest.mark.parametrize('format', DEEPMD)
@pytest.mark.parametrize('status', ['failed', 'unconverged', 'rejected', 'max_steps'])
def test_bad_labels_never_become_training_data(frames, tmp_path, format, status):
    statuses = np.where(np.isin(np.arange(len(frames)), [2, 5]), status, 'ok')
    with pytest.raises(ValueError, match='2 of 12 frames have a status other than `ok`: 2, 5'):
        write_frames(frames.replace(status=statuses), tmp_path, format)


def test_forces_without_energies_are_no_training_data(frames, tmp_path):
    with pytest.raises(ValueError, match='must have energies'):
        write_frames(frames.without('energy'), tmp_path, 'deepmd/npy')


def test_nothing_is_overwritten(frames, tmp_path):
    for format in FileFormat:
        target = tmp_path / format.name
        write_frames(frames, target, format)
        with pytest.raises(FileExistsError, match='exists already'):
            write_frames(frames, target, format)


def test_formats_are_told_apart(frames, tmp_path):
    with pytest.raises(ValueError, match='cannot be told'):
        write_frames(frames, tmp_path / 'frames.txt')
    with pytest.raises(ValueError, match='`cif` is no format of frames; choose one of: extxyz, ase-db'):
        write_frames(frames, tmp_path / 'frames', 'cif')
    with pytest.raises(FileNotFoundError):
        read_frames(tmp_path / 'frames.extxyz')
    with pytest.raises(ValueError, match='no system of DeePMD-kit'):
        read_frames(tmp_path, 'deepmd/npy')


def test_no_frames(tmp_path):
    write_frames(Frames.empty(), tmp_path / 'x.extxyz')
    assert len(read_frames(tmp_path / 'x.extxyz')) == 0
