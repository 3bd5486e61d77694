"""Labels from earlier calculations of VASP, made by the program that stands in for it."""

from __future__ import annotations

import click
import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_prospect.cli import search as search_commands
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.label_settings import find_conflicts
from aiida_prospect.workflows.earlier.base import collect, find_earlier, settings_of
from aiida_prospect.workflows.earlier.vasp import strain_between
from aiida_prospect.workflows.label.plugin import runs_of
from aiida_prospect.workflows.label.vasp import load_vasp
from aiida_prospect.workflows.provenance.label_source import source_of_label

DISTANCE = 0.5
SETTINGS = {'kpoints_distance': DISTANCE, 'max_concurrent': 3}
PKS: dict[str, int] = {}


def crystals():
    """Return crystals of silicon in cells of one, two and eight atoms, with atoms out of place."""
    structures = [bulk('Si', 'fcc', a=3.8), bulk('Si', 'diamond', a=5.3), bulk('Si', 'diamond', a=5.2, cubic=True)]
    for number, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=number)
    return Frames.from_atoms(structures)


def as_others_do(code, family):
    """Return a run of VASP as people run it for themselves: with what aiida-vasp parses by itself."""
    potcars = {'potential_family': orm.Str(family), 'potential_mapping': orm.Dict({'Si': 'Si'})}
    incar = {'encut': 325.0, 'gga': 'PE', 'ismear': 0, 'sigma': 0.05, 'ediff': 1e-6, 'ibrion': -1, 'nsw': 0}
    return run_get_node(
        load_vasp(),
        code=code,
        structure=orm.StructureData(ase=crystals()[0].to_atoms()[0]),
        parameters=orm.Dict({'incar': incar}),
        kpoints_spacing=orm.Float(DISTANCE / (2 * np.pi)),
        calc={'metadata': {'options': {'resources': {'num_machines': 1}, 'withmpi': False}}},
        **potcars,
    )[1]


@pytest.fixture
def labelling(label_vasp):
    """Return a labelling of crystals, the same for all tests."""
    if 'labelling' not in PKS:
        PKS['labelling'] = run_get_node(label_vasp(crystals(), SETTINGS))[1].pk
    return orm.load_node(PKS['labelling'])


def group_of(label, *nodes):
    """Return the label of a group with these nodes."""
    collection, _ = orm.Group.collection.get_or_create(label)
    collection.add_nodes(list(nodes))
    return label


@pytest.fixture
def group(labelling):
    """Return the label of a group with the labelling."""
    return group_of('silicon by VASP', labelling)


def jobs_of(labelling):
    """Return the runs of the program, in their order."""
    bases = [child for child in labelling.called if child.process_label == 'VaspWorkChain']
    return sorted((run for base in bases for run in runs_of(base)), key=lambda run: run.pk)


def settings_of_search(builder):
    """Return the settings that a labelling tells before it has run."""
    return builder.process_class.settings_of(builder._inputs(prune=True), ['Si'])


def test_earlier_calculations_give_the_labels_that_a_search_would_have(labelling, group):
    found = find_earlier(group, ['Si'])
    assert [job.pk for job in found.jobs] == [job.pk for job in jobs_of(labelling)]
    assert not found.left_out
    labels = collect(found.jobs)
    theirs = labelling.outputs.labels.frames
    by_size = {len(theirs[index].positions): index for index in range(3)}
    expected = theirs.select(np.array([by_size[len(job.inputs.structure.sites)] for job in found.jobs]))
    for name in ('numbers', 'energy', 'forces', 'stress', 'status', 'cells'):
        assert np.array_equal(getattr(labels.frames, name), getattr(expected, name))
    assert np.max(np.abs(labels.frames.forces)) > 0.1
    assert [source_of_label(labels, index).pk for index in range(3)] == [job.pk for job in found.jobs]


def test_the_settings_are_those_of_the_search_that_made_them(labelling, group, label_vasp):
    found = settings_of(find_earlier(group, ['Si']).jobs)
    told = settings_of_search(label_vasp(crystals(), SETTINGS))
    assert find_conflicts({**found, 'search': told}) == []
    known = {'functional', 'pseudopotentials', 'ecutwfc', 'smearing', 'degauss', 'spin', 'kpoints_distance'}
    assert not [key for values in (told, *found.values()) for key in known if not values[key]]
    assert (told['functional'], told['ecutwfc'], told['smearing'], told['degauss']) == ('PBE', 325.0, 'gaussian', 0.05)
    assert told['pseudopotentials'] == {'Si': 'PAW_PBE Si 01Jan2000'}


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'parameters': {'encut': 400.0}}, ['ecutwfc', '400.0 eV', '325.0 eV']),
        ({'parameters': {'gga': 'PS'}}, ['functional', 'PBESOL', 'PBE in']),
        ({'parameters': {'ismear': 1, 'sigma': 0.2}}, ['smearing', 'methfessel-paxton']),
        ({'parameters': {'ispin': 2}}, ['spin', 'collinear']),
        ({'kpoints_distance': 0.2}, ['kpoints_distance', '0.500 1/Å']),
        ({'ldau_mapping': {'mapping': {'Si': ['p', 3.0]}}}, ['extras', 'U of Si 3 eV']),
        ({'parameters': {'ivdw': 12}}, ['extras', 'ivdw 12']),
    ],
    ids=str,
)
def test_what_differs_is_named(labelling, group, label_vasp, overrides, words):
    told = settings_of_search(label_vasp(crystals(), {**SETTINGS, **overrides}))
    conflicts = ' | '.join(find_conflicts({**settings_of(find_earlier(group, ['Si']).jobs), 'search': told}))
    assert all(word in conflicts for word in words), conflicts


def test_the_free_energy_is_read_from_the_file_if_only_another_one_was_parsed(labelling, make_vasp_code, potcar_family):
    run = as_others_do(make_vasp_code(), potcar_family)
    assert run.is_finished_ok, run.exit_message
    found = find_earlier(group_of('as others do', run), ['Si'])
    (job,) = found.jobs
    assert 'energy_free' not in job.outputs.misc['total_energies']
    labels = collect([job]).frames
    expected = labelling.outputs.labels.frames
    assert labels.energy[0] == pytest.approx(expected.energy[0], abs=1e-7)
    assert abs(job.outputs.misc['total_energies']['energy_extrapolated'] - expected.energy[0]) > 0.1
    assert labels.forces == pytest.approx(expected[0].forces, abs=1e-7)
    assert find_conflicts(settings_of([job, *jobs_of(labelling)])) == []


def test_a_relaxation_whose_cell_has_changed_is_left_out_with_a_reason(label_vasp):
    builder = label_vasp(Frames.from_atoms([bulk('Si', 'fcc', a=3.9)]), {'relax': {'parameters': {'nsw': 40}}})
    builder.task = 'relax'
    node = run_get_node(builder)[1]
    found = find_earlier(group_of('relaxed by VASP', node), ['Si'])
    relaxation, single_point = jobs_of(node)
    assert strain_between(relaxation.inputs.structure.cell, relaxation.outputs.structure.cell) > 0.02
    assert [job.pk for job in found.jobs] == [single_point.pk]
    assert [(reason.startswith('its cell has changed'), count) for reason, count in found.left_out.items()] == [
        (True, 1)
    ]


def test_strain_does_not_depend_on_rotation():
    cell = np.array([[4.0, 0, 0], [1.0, 3.0, 0], [0.5, 0.2, 5.0]])
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    assert strain_between(cell, cell @ turn) == pytest.approx(0, abs=1e-12)
    assert strain_between(cell, 1.03 * cell @ turn) == pytest.approx(0.03)


@pytest.fixture
def command(python_code, make_vasp_code, potcar_family, monkeypatch, tmp_path):
    """Return a function that types a search with labels of VASP and returns the builder that would be run."""
    builders = []
    monkeypatch.setattr(search_commands, '_start', lambda builder, *_: builders.append(builder))

    def run(*arguments):
        (tmp_path / 'spacing.yaml').write_text(f'label: {{kpoints_distance: {DISTANCE}}}')
        labels = ['--labels', 'vasp', '--code', make_vasp_code().full_label, '--pseudos', potcar_family]
        options = ['search', 'Si2', '--python', python_code.full_label, *labels, *map(str, arguments)]
        cmd_root.main(options, prog_name='aiida-prospect', standalone_mode=False)
        return builders[-1]

    return run


def test_a_search_takes_what_fits_and_refuses_what_does_not(command, group, tmp_path):
    before = orm.QueryBuilder().append(orm.Node).count()
    other = tmp_path / 'other.yaml'
    other.write_text(f'label: {{kpoints_distance: {DISTANCE}, parameters: {{encut: 400}}}}')
    with pytest.raises(click.ClickException) as refusal:
        command('--initial-labels-from', group, '--overrides', other)
    assert 'ecutwfc: 325.0 eV in VaspCalculation' in refusal.value.format_message()
    # A code is made by the test, nothing else.
    assert orm.QueryBuilder().append(orm.Node).count() <= before + 1
    forced = command('--initial-labels-from', group, '--overrides', other, '--force-mixed')
    assert len(forced.restart.labels['before_00']) == 3
    fitting = command('--initial-labels-from', group, '--overrides', tmp_path / 'spacing.yaml')
    assert len(fitting.restart.labels['before_00']) == 3
