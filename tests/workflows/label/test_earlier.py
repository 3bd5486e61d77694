"""Labels from earlier calculations and outputs of pw.x, with pw.x; the mesh of k-points of cells of all sizes."""

from __future__ import annotations

import click
import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_prospect.cli import search as search_commands
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.initial_labels import read_labels, read_settings
from aiida_prospect.methods.label_settings import find_conflicts, spacing_interval
from aiida_prospect.workflows.earlier.base import EVERYWHERE, collect, find_earlier, settings_of
from aiida_prospect.workflows.provenance.label_source import source_of_label

DISTANCE = 0.9
SETTINGS = {'parameters': {'SYSTEM': {'ecutwfc': 12.0}}, 'kpoints_distance': DISTANCE}
PKS: dict[str, int] = {}


def crystals():
    """Return crystals of silicon of the same kind in cells of different shapes."""
    shapes = [np.diag([1, 1, 1]), np.diag([1, 1, 2]), np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1]])]
    structures = []
    for number, shape in enumerate(shapes):
        atoms = bulk('Si', 'diamond', a=5.3 + 0.1 * number)
        atoms = atoms.repeat(np.diag(shape)) if np.array_equal(shape, np.diag(np.diag(shape))) else atoms
        atoms.set_cell(shape @ atoms.cell.array if number == 2 else atoms.cell.array)
        atoms.positions[0] += [0.05, 0.1, -0.1]
        structures.append(atoms)
    return Frames.from_atoms(structures)


@pytest.fixture
def labelling(label_quantumespresso):
    """Return a labelling of crystals, and of one with other plane waves, the same for all tests."""
    if 'labelling' not in PKS:
        PKS['labelling'] = run_get_node(label_quantumespresso(crystals(), SETTINGS))[1].pk
        other = {**SETTINGS, 'parameters': {'SYSTEM': {'ecutwfc': 14.0}}}
        PKS['other'] = run_get_node(label_quantumespresso(crystals()[0], other))[1].pk
    return orm.load_node(PKS['labelling'])


@pytest.fixture
def group(labelling):
    """Return a group with the labelling that belongs together."""
    collection, _ = orm.Group.collection.get_or_create('silicon')
    collection.add_nodes([labelling])
    return collection


def pw_runs(process):
    """Return the runs of pw.x that a work chain made, in their order."""
    return sorted((node for node in process.called if isinstance(node, orm.CalcJobNode)), key=lambda node: node.pk)


def jobs_of(labelling):
    """Return the runs of pw.x in the order of the frames."""
    bases = {link.link_label: link.node for link in labelling.base.links.get_outgoing(link_type=LinkType.CALL_WORK)}
    return [pw_runs(bases[key])[-1] for key in sorted(bases)]


def test_every_cell_gets_the_mesh_that_its_shape_and_the_distance_ask_for(labelling):
    """Not one mesh for all cells: a larger cell has fewer k-points, the density stays."""
    meshes = []
    for job in jobs_of(labelling):
        cell, mesh = job.inputs.structure.get_ase().cell.array, job.inputs.kpoints.get_kpoints_mesh()[0]
        low, high = spacing_interval(cell, mesh)
        assert low <= DISTANCE < high
        meshes.append(tuple(mesh))
    assert len(set(meshes)) > 1


def test_earlier_calculations_give_the_labels_that_a_search_would_have(labelling, group):
    jobs = find_earlier(group.label, ['Si']).jobs
    assert [job.pk for job in jobs] == sorted(job.pk for job in jobs_of(labelling))
    labels = collect(jobs)
    order = np.argsort([job.pk for job in jobs_of(labelling)])
    expected = labelling.outputs.labels.frames.select(order)
    for name in ('numbers', 'energy', 'forces', 'stress', 'status'):
        assert np.array_equal(getattr(labels.frames, name), getattr(expected, name))
    assert labels.frames.positions == pytest.approx(expected.positions)
    assert [source_of_label(labels, index).pk for index in range(len(jobs))] == [job.pk for job in jobs]


def test_settings_that_differ_are_found_by_the_query(labelling, group):
    assert find_conflicts(settings_of(find_earlier(group.label, ['Si']).jobs)) == []
    everywhere = [job for job in find_earlier(EVERYWHERE, ['Si']).jobs if job.process_label == 'PwCalculation']
    (conflict,) = [text for text in find_conflicts(settings_of(everywhere)) if 'ecutwfc' in text]
    assert '163.3 eV' in conflict
    assert '190.5 eV' in conflict


def test_the_output_of_pw_says_the_same_as_the_database(labelling, tmp_path):
    """This pins the units and signs of files to those of the plugin."""
    job = jobs_of(labelling)[0]
    (tmp_path / 'pw.out').write_text(job.outputs.retrieved.base.repository.get_object_content('aiida.out'))
    labels, expected = read_labels(tmp_path / 'pw.out'), labelling.outputs.labels.frames[0]
    # The Rydberg that pw.x, the plugin and ASE know differ in the eighth digit.
    assert labels.energy == pytest.approx(expected.energy, abs=1e-5)
    assert labels.forces == pytest.approx(expected.forces, abs=1e-4)
    assert labels.stress == pytest.approx(expected.stress, abs=1e-4)
    assert labels.cells == pytest.approx(expected.cells, abs=1e-4)
    from_file, from_node = read_settings(tmp_path / 'pw.out'), next(iter(settings_of([job]).values()))
    assert find_conflicts({'file': from_file, 'node': from_node}) == []
    known = {'functional', 'pseudopotentials', 'ecutwfc', 'ecutrho', 'smearing', 'degauss', 'spin'}
    assert not [key for key in known if not from_file[key] or not from_node[key]]


def test_the_label_of_a_relaxation_is_that_of_its_last_structure(label_quantumespresso, silicon_frames):
    builder = label_quantumespresso(silicon_frames(1, n_atoms=2, noise=0.02))
    outputs, node = run_get_node(builder._process_class, **{**builder._inputs(prune=True), 'task': orm.Str('relax')})
    job = pw_runs(next(child for child in node.called if child.process_label == 'PwBaseWorkChain'))[-1]
    labels, relaxed = collect([job]).frames, outputs['labels'].frames
    start = job.inputs.structure.get_ase()
    assert not np.allclose(labels.positions, start.positions, atol=1e-4)
    last = job.outputs.output_structure.get_ase()
    assert np.allclose(labels.positions, last.positions)
    assert np.allclose(labels.cells[0], last.cell.array)
    assert len(relaxed) == 1


@pytest.fixture
def command(python_code, pw_code, pseudo_family, monkeypatch):
    """Return a function that types a search with labels of pw.x and returns the builder that would be run."""
    builders = []
    monkeypatch.setattr(search_commands, '_start', lambda builder, *_: builders.append(builder))

    def run(*arguments):
        labels = ['--labels', 'quantumespresso', '--code', pw_code.full_label, '--pseudos', pseudo_family.label]
        options = ['search', 'Si2', '--python', python_code.full_label, *labels, *map(str, arguments)]
        cmd_root.main(options, prog_name='aiida-prospect', standalone_mode=False)
        return builders[-1]

    return run


def test_a_search_with_other_settings_refuses_them_before_anything_is_made(command, group, tmp_path):
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(click.ClickException) as refusal:
        command('--initial-labels-from', group.label)
    message = refusal.value.format_message()
    assert 'ecutwfc' in message
    assert 'in this search' in message
    assert '--force-mixed' in message
    assert orm.QueryBuilder().append(orm.Node).count() == before

    forced = command('--initial-labels-from', group.label, '--force-mixed')
    assert len(forced.restart.labels['before_00']) == 3

    fitting = tmp_path / 'fitting.yaml'
    fitting.write_text(f'label: {{parameters: {{SYSTEM: {{ecutwfc: 12.0}}}}, kpoints_distance: {DISTANCE}}}')
    builder = command('--initial-labels-from', group.label, '--overrides', fitting)
    assert len(builder.restart.labels['before_00']) == 3


def test_a_group_that_is_not_there_and_elements_that_nobody_calculated(labelling):
    with pytest.raises(ValueError, match='no group `nobody`'):
        find_earlier('nobody', ['Si'])
    with pytest.raises(ValueError, match='no finished calculation with forces of Ge'):
        find_earlier(EVERYWHERE, ['Ge'])
