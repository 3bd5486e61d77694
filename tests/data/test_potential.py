import io
from functools import partial

import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from aiida.plugins import DataFactory

from aiida_prospect.common.enums import Backend
from aiida_prospect.data.potential import PotentialData, resolve_calculator


@pytest.fixture
def model(tmp_path):
    path = tmp_path / 'c0ffee-1234.pb'
    path.write_bytes(b'a frozen graph')
    return path


def make(model, **changes):
    options = {'backend': Backend.TENSORFLOW, 'type_map': ['O', 'Al'], 'cutoff': 6.0}
    return PotentialData.from_files(model, **{**options, **changes})


def test_files_come_back(model, tmp_path):
    initial = tmp_path / 'initial.pb'
    initial.write_bytes(b'not compressed')
    metadata = {'architecture': 'se_e2_a', 'errors': {'energy': 0.01}, 'steps': 1000}
    node = orm.load_node(make(model, initial=initial, metadata=metadata).store().pk)
    assert node.program is Backend.TENSORFLOW
    assert (node.architecture, node.type_map, node.cutoff) == ('se_e2_a', ['O', 'Al'], 6.0)
    assert (node.errors, node.metadata) == ({'energy': 0.01}, {'steps': 1000})
    assert (node.filename, node.suffix, node.has_initial) == ('model', '.pb', True)
    node.write_model(tmp_path / 'out')
    assert (tmp_path / 'out').read_bytes() == b'a frozen graph'
    node.write_initial(tmp_path / 'out')
    assert (tmp_path / 'out').read_bytes() == b'not compressed'
    assert DataFactory('prospect.potential') is PotentialData


def test_without_another_file_training_starts_from_the_model(model):
    node = make(model)
    stream = io.BytesIO()
    node.write_initial(stream)
    assert not node.has_initial
    assert stream.getvalue() == b'a frozen graph'


def test_names_of_files_do_not_change_the_hash(model, tmp_path):
    other = tmp_path / 'other.pb'
    other.write_bytes(model.read_bytes())
    nodes = [make(model), make(other), make(str(model)), make(io.BytesIO(model.read_bytes()))]
    assert len({node.store().base.caching.get_hash() for node in nodes}) == 1


@pytest.mark.parametrize('change', [{'type_map': ['Al', 'O']}, {'cutoff': 5.0}, {'backend': 'pytorch'}])
def test_what_the_model_does_changes_the_hash(model, change):
    assert make(model, **change).store().base.caching.get_hash() != make(model).store().base.caching.get_hash()


def test_specification(model):
    assert make(model).spec('model_00.pb') == {
        'backend': 'tensorflow',
        'file': 'model_00.pb',
        'type_map': ['O', 'Al'],
        'cutoff': 6.0,
        'calculator': None,
        'arguments': {},
    }
    with pytest.raises(ValueError, match='needs a name'):
        make(model).spec('')


def test_calculator_needs_no_file():
    node = PotentialData.from_calculator('ase.calculators.emt.EMT', {'fixed_cutoff': True}, ['Al']).store()
    assert node.spec()['calculator'] == 'ase.calculators.emt:EMT'
    assert node.spec('ignored')['file'] is None
    assert node.spec()['arguments'] == {'fixed_cutoff': True}
    assert node.suffix == ''
    with pytest.raises(ValueError, match='no model file'):
        node.write_model('out')


def test_files_of_a_calculator_are_part_of_it(tmp_path):
    (tmp_path / 'source').write_bytes(b'one')
    make_node = partial(PotentialData.from_calculator, 'a.b', {'file': 'Al.upf'}, ['Al'])
    nodes = [
        make_node(files={'Al.upf': tmp_path / 'source'}),
        make_node(files={'Al.upf': io.BytesIO(b'one')}),
        make_node(files={'Al.upf': io.BytesIO(b'two')}),
        make_node(),
    ]
    hashes = [node.store().base.caching.get_hash() for node in nodes]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert [node.calculator_files for node in nodes] == [['Al.upf']] * 3 + [[]]
    assert nodes[0].spec()['file'] is None


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [('../Al.upf', b'one', 'no name'), ('', b'one', 'no name'), ('.hidden', b'one', 'no name'), ('Al', b'', 'empty')],
)
def test_files_of_a_calculator_that_are_none(name, content, message):
    with pytest.raises(ValueError, match=message):
        PotentialData.from_calculator('a.b', {}, ['Al'], files={name: io.BytesIO(content)})


def test_spelling_of_a_calculator_does_not_change_the_hash():
    nodes = [PotentialData.from_calculator(name, {}, ['Al']) for name in ('a.b:c', 'a.b.c')]
    assert len({node.store().base.caching.get_hash() for node in nodes}) == 1


def test_entry_point_is_resolved_because_the_compute_side_knows_none():
    assert resolve_calculator('lammps') == 'aiida_prospect.methods.lammps_potentials:calculator'


@pytest.mark.parametrize('name', ['lamps', '', 'a.', ':b', 'os; rm.x'])
def test_unknown_calculator(name):
    with pytest.raises(ValueError, match='calculators: lammps'):
        PotentialData.from_calculator(name, {}, ['Al'])


@pytest.mark.parametrize('arguments', [{'a': object()}, {'a': float('nan')}, {'a': {1, 2}}])
def test_arguments_must_be_json(arguments):
    with pytest.raises(ValueError, match='not JSON'):
        PotentialData.from_calculator('a.b', arguments, ['Al'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'type_map': []}, 'at least one element'),
        ({'type_map': ['Al', 'Al']}, 'twice'),
        ({'type_map': ['Al', 'Foo']}, 'no element'),
        ({'cutoff': 0.0}, 'positive'),
        ({'cutoff': float('nan')}, 'positive'),
        ({'backend': 'ase'}, 'no model file'),
        ({'backend': 'jax'}, 'jax'),
        ({'metadata': {'errors': {'energy': float('nan')}}}, 'not finite'),
    ],
)
def test_nonsense_is_refused(model, change, message):
    with pytest.raises(ValueError, match=message):
        make(model, **change)


def test_empty_model_is_refused(model):
    model.write_bytes(b'')
    with pytest.raises(ValueError, match='not empty'):
        make(model)


def test_nonsense_is_refused_at_store(model):
    node = make(model)
    node.base.repository.put_object_from_bytes(b'', 'model')
    with pytest.raises(ValidationError, match='not empty'):
        node.store()
    node = make(model)
    node.base.attributes.set('type_map', ['Foo'])
    with pytest.raises(ValidationError, match='no element'):
        node.store()
    with pytest.raises(ValidationError):
        PotentialData().store()
