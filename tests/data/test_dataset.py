import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.engine import calcfunction
from aiida.manage.caching import enable_caching
from aiida.plugins import DataFactory

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData


@calcfunction
def lowest(dataset):
    return orm.Int(int(np.nanargmin(dataset.frames.energy)))


@pytest.fixture
def frames(generate_frames):
    parts = [generate_frames('Si8', 3, labelled=True), generate_frames('Al4O6', 2, labelled=True)]
    return Frames.concatenate([*parts, generate_frames('Al2', 1)])


def hash_of(frames):
    return DatasetData(frames).store().base.caching.get_hash()


def put(node, name, array):
    stream = io.BytesIO()
    np.save(stream, array)
    stream.seek(0)
    node.base.repository.put_object_from_filelike(stream, f'{name}.npy')


def test_frames_come_back(frames):
    node = DatasetData(frames)
    assert node.frames.equals(frames)
    node.store()
    assert node.frames.equals(frames)
    assert orm.load_node(node.pk).frames.equals(frames)
    assert DataFactory('prospect.dataset') is DatasetData


def test_attributes(frames):
    node = DatasetData(frames).store()
    attributes = node.base.attributes.all
    assert len(node) == attributes['n_frames'] == 6
    assert attributes['n_atoms'] == 3 * 8 + 2 * 10 + 2
    assert node.elements == ('O', 'Al', 'Si')
    assert attributes['formulas'] == {'Si8': 3, 'Al4O6': 2, 'Al2': 1}
    assert set(node.known) == {'energy', 'forces', 'stress', 'status', 'origin'}


def test_no_frames():
    node = DatasetData(Frames.empty()).store()
    assert len(node) == 0
    assert node
    assert len(node.frames) == 0


def test_formulas_are_capped(generate_frames):
    frames = Frames.concatenate([generate_frames('Si', 2), *(generate_frames(f'SiO{n}', 1) for n in range(2, 62))])
    formulas = DatasetData(frames).base.attributes.get('formulas')
    assert len(formulas) == 50
    assert formulas['Si'] == 2


def test_equal_frames_hash_equal(frames):
    copy = Frames.from_arrays({name: value.copy() for name, value in frames.arrays().items()})
    assert hash_of(copy) == hash_of(frames)
    assert hash_of(frames.select(np.arange(len(frames)))) == hash_of(frames)


def test_signs_of_zero_and_nan_do_not_change_the_hash(frames):
    forces = np.where(np.isnan(frames.forces), np.nan, 0.0)
    other = np.where(np.isnan(frames.forces), np.copysign(np.nan, -1), -0.0)
    assert forces.tobytes() != other.tobytes()
    one, another = frames.replace(forces=forces), frames.replace(forces=other)
    assert one.equals(another)
    assert hash_of(one) == hash_of(another)


def test_layout_and_width_of_text_do_not_change_the_hash(frames):
    wide = frames.replace(
        positions=np.asfortranarray(frames.positions),
        origin=frames.origin.astype('U100'),
        numbers=frames.numbers.astype(np.int32),
    )
    assert hash_of(wide) == hash_of(frames)


@pytest.mark.parametrize('name', ['positions', 'cells', 'energy', 'forces'])
def test_the_last_bit_changes_the_hash(frames, name):
    value = getattr(frames, name).copy()
    value.flat[0] = np.nextafter(value.flat[0], np.inf)
    assert hash_of(frames.replace(**{name: value})) != hash_of(frames)


def test_order_and_words_change_the_hash(frames):
    hashes = {hash_of(frames), hash_of(frames.select([1, 0, 2, 3, 4, 5])), hash_of(frames.without('origin'))}
    hashes.add(hash_of(frames.replace(origin=['else', *frames.origin[1:]])))
    assert len(hashes) == 4


def test_caching_hits(frames):
    with enable_caching():
        index, first = lowest.run_get_node(DatasetData(frames))
        copy = Frames.from_arrays({name: value.copy() for name, value in frames.arrays().items()})
        again, second = lowest.run_get_node(DatasetData(copy))
        _, other = lowest.run_get_node(DatasetData(frames.select([0, 1])))
    assert second.base.caching.get_cache_source() == first.uuid
    assert again.value == index.value
    assert not other.base.caching.is_created_from_cache


def test_equal_arrays_are_held_once(frames):
    candidates = frames.without('energy', 'forces', 'stress', 'status')
    unlabelled, labelled = DatasetData(candidates).store(), DatasetData(frames).store()
    held = [node.base.repository.metadata['o'] for node in (unlabelled, labelled)]
    for name in ('numbers.npy', 'offsets.npy', 'positions.npy', 'cells.npy', 'origin.npy'):
        assert held[0][name]['k'] == held[1][name]['k']


def test_what_was_read_cannot_be_changed(frames):
    node = DatasetData(frames).store()
    assert node.frames is node.frames
    with pytest.raises(ValueError, match='read-only'):
        node.frames.positions[0] = 0
    with pytest.raises(ValueError, match='read-only'):
        node.frames.origin[0] = 'else'


def test_stored_node_cannot_be_changed(frames):
    node = DatasetData(frames).store()
    with pytest.raises(ModificationNotAllowed):
        node.set_frames(frames)


def test_frames_can_be_replaced_before_storing(frames):
    node = DatasetData(frames)
    node.set_frames(frames.select([0]).without('energy', 'status'))
    node.store()
    assert len(node.frames) == 1
    assert node.frames.energy is None


def test_clone(frames):
    clone = DatasetData(frames).store().clone()
    assert clone.store().frames.equals(frames)


def test_other_things_are_refused(frames):
    with pytest.raises(TypeError, match='is a dict'):
        DatasetData(frames.arrays())


def test_frames_spoilt_before_setting_are_refused(frames):
    spoilt = Frames.from_arrays({name: value.copy() for name, value in frames.arrays().items()})
    spoilt.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match='must be finite'):
        DatasetData(spoilt)


@pytest.mark.parametrize(
    ('name', 'array', 'message'),
    [
        ('positions', np.full((46, 3), np.nan), 'must be finite'),
        ('positions', np.zeros((45, 3)), 'shape'),
        ('positions', np.zeros((46, 3), dtype=np.float32), 'of type float32'),
        ('energy', np.array(['a'] * 6), 'do not make frames'),
        ('numbers', np.full(46, 200), 'must lie between'),
        ('numbers', np.full(46, 14), 'attribute `elements`'),
        ('offsets', np.array([0, 8, 8, 24, 34, 44, 46]), 'at least one atom'),
        ('charges', np.zeros(46), 'Mismatch of files and properties'),
    ],
)
def test_corrupt_arrays_are_refused_at_store(frames, name, array, message):
    node = DatasetData(frames)
    put(node, name, array)
    with pytest.raises(ValidationError, match=message):
        node.store()
    assert not node.is_stored


def test_broken_files_are_refused_at_store(frames):
    node = DatasetData(frames)
    node.base.repository.put_object_from_bytes(b'\x93NUMPY', 'positions.npy')
    with pytest.raises(ValidationError, match='do not make frames'):
        node.store()


def test_objects_in_arrays_are_refused_at_store(frames):
    node = DatasetData(frames)
    put(node, 'origin', np.array([object] * 6))
    with pytest.raises(ValidationError, match='do not make frames'):
        node.store()


def test_missing_and_foreign_files_are_refused_at_store(frames):
    node = DatasetData(frames)
    node.delete_array('cells')
    with pytest.raises(ValidationError, match=r"missing: \['cells'\]"):
        node.store()
    node = DatasetData(frames)
    node.base.repository.put_object_from_bytes(b'hello', 'readme.txt')
    with pytest.raises(ValidationError, match=r'readme\.txt'):
        node.store()


def test_wrong_attributes_are_refused_at_store(frames):
    node = DatasetData(frames)
    node.base.attributes.set('n_frames', 5)
    with pytest.raises(ValidationError, match='attribute `n_frames` is 5, expected 6'):
        node.store()


@pytest.mark.parametrize(('name', 'format'), [('x.extxyz', None), ('x.db', None), ('x', 'deepmd/npy')])
def test_export_and_import(frames, tmp_path, name, format):
    labelled = frames.select(frames.status == 'ok')
    node = DatasetData(labelled).store()
    node.export(tmp_path / name, format)
    assert DatasetData.from_file(tmp_path / name, format).frames.equals(labelled)
    with pytest.raises(FileExistsError):
        node.export(tmp_path / name, format)


def test_export_overwrites_if_told(frames, tmp_path):
    node = DatasetData(frames).store()
    (tmp_path / 'x.extxyz').write_text('old')
    node.export(tmp_path / 'x.extxyz', overwrite=True)
    assert DatasetData.from_file(tmp_path / 'x.extxyz').frames.equals(frames)


def test_serialisation(frames):
    node = DatasetData(frames).store()
    serialised = node.serialize()
    assert serialised['attributes']['n_frames'] == 6
