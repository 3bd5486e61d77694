"""One test of the contract for all registered labelling work chains, with the real programs."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.plugins.entry_point import get_entry_point_names
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.workflows.label.base import LabelWorkChain

PREFIX = 'prospect.label.'
# Enough plane waves for the energy to be nearly that of a complete set, also when the set changes with the cell, and
# smearing that makes the free energy and that without entropy two different functions.
SMOOTH = {'quantumespresso': {'parameters': {'SYSTEM': {'ecutwfc': 30.0, 'smearing': 'fermi-dirac', 'degauss': 0.1}}}}
STEP = 0.01
STRAIN = np.array([[1.0, 0.5, 0.0], [0.5, -0.2, 0.0], [0.0, 0.0, 0.6]])
SHIFT = np.array([[0.0, 0.0, 0.0], [1.0, 0.4, -0.7]])
NAMES = [name.removeprefix(PREFIX) for name in get_entry_point_names('aiida.workflows') if name.startswith(PREFIX)]


@pytest.fixture(params=NAMES)
def build(request):
    """Return the factory of builders of one code; it is in `conftest.py` beside this file."""
    return request.getfixturevalue(f'label_{request.param}')


@pytest.fixture
def smooth(request):
    """Return what makes the energies of the code of this test smooth functions of the cell."""
    return SMOOTH.get(request.node.callspec.params['build'], {})


@pytest.fixture
def candidates(silicon_frames):
    """Return a good frame, a hopeless one and another good one, with what a selection knows of them."""
    good = silicon_frames(2, n_atoms=2, noise=0.05)
    crushed = good[0].replace(cells=good[0].cells / 3, positions=good[0].positions / 3)
    frames = Frames.concatenate([good[0], crushed, good[1]])
    return frames.replace(energy=np.zeros(3), source=[7, 3, 5], reason=['lowest', 'curious', 'uncertain'])


def runs_behind(labels):
    """Return the calculation jobs that a dataset descends from, by way of the creators of each node."""
    found, seen, queue = set(), set(), [labels]
    while queue:
        node = queue.pop()
        creator = node.creator
        if creator is None or creator.pk in seen:
            continue
        seen.add(creator.pk)
        if isinstance(creator, orm.CalcJobNode):
            found.add(creator.pk)
        queue.extend(link.node for link in creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC))
    return found


@pytest.mark.parametrize('task', ['single_point', 'relax'])
def test_labels_are_the_candidates_with_numbers_and_status(build, candidates, task):
    builder = build(candidates)
    outputs, node = run_get_node(builder._process_class, **{**builder._inputs(prune=True), 'task': orm.Str(task)})
    assert node.exit_status == 0, node.exit_message
    labels = outputs['labels'].frames
    assert labels.known('status').tolist() == ['ok', 'rejected', 'ok']
    assert labels.known('reason')[1]
    assert 'lowest' not in labels.known('reason').tolist()
    assert np.array_equal(labels.numbers, candidates.numbers)
    assert labels.known('origin').tolist() == candidates.known('origin').tolist()
    assert labels.known('source').tolist() == [7, 3, 5]
    assert np.isnan(labels.energy).tolist() == [False, True, False]
    assert np.all(np.isfinite(labels.forces[[0, 1, 4, 5]]))
    assert np.all(np.isnan(labels.forces[2:4]))
    assert np.allclose(labels.stress[0], labels.stress[0].T, atol=1e-4)
    assert np.array_equal(labels.cells[1], candidates.cells[1])
    moved = not np.array_equal(labels.positions, candidates.positions)
    assert moved == (task == 'relax')
    steps = labels.known('steps')
    assert steps[1] == 0
    assert np.all(steps[[0, 2]] == 1) if task == 'single_point' else np.all(steps[[0, 2]] > 1)
    report = outputs['report'].get_dict()
    assert report['by_status'] == {'ok': 2, 'rejected': 1, 'unconverged': 0, 'failed': 0}
    assert report['evaluations'] == int(np.sum(steps))
    assert report['core_seconds'] > 0
    seconds = report['by_frame']['core_seconds']
    assert [second > 0 for second in seconds] == [True, False, True]
    assert sum(seconds) == pytest.approx(report['core_seconds'], abs=0.01)
    jobs = {child.pk for child in node.called_descendants if isinstance(child, orm.CalcJobNode)}
    assert runs_behind(outputs['labels'])
    assert runs_behind(outputs['labels']) <= jobs


def strained_crystals():
    """Return a compressed crystal without symmetry, and it strained and with an atom moved, to and fro."""
    atoms = bulk('Si', 'diamond', a=5.2)
    atoms.positions[1] += [0.05, 0.1, -0.03]
    family = [atoms]
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * STEP * STRAIN), scale_atoms=True)
        moved = atoms.copy()
        moved.positions += sign * STEP * SHIFT
        family += [strained, moved]
    return Frames.from_atoms(family)


def test_forces_stress_and_virial_are_derivatives_of_the_energy(build, smooth):
    """The same signs, units and energy from every code: with smearing only the free energy has these derivatives."""
    outputs, node = run_get_node(build(strained_crystals(), smooth))
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    energy, volume = labels.energy, labels.volumes
    derivative = (energy[1] - energy[3]) / (2 * STEP)
    virial = virial_from_stress(labels.stress, volume)[0]
    assert np.sum(labels.stress[0] * STRAIN) * volume[0] == pytest.approx(derivative, rel=0.02)
    assert np.sum(virial * STRAIN) == pytest.approx(-derivative, rel=0.02)
    compressed = derivative < 0
    assert compressed == (np.trace(labels.stress[0]) < 0) == (np.trace(virial) > 0)
    assert -np.sum(labels.forces[:2] * SHIFT) == pytest.approx((energy[2] - energy[4]) / (2 * STEP), rel=0.01)


def test_work_chain_honours_the_contract(build, candidates):
    cls = build(candidates)._process_class
    assert issubclass(cls, LabelWorkChain)
    assert cls.get_builder_from_protocol.__doc__


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'max_concurrent': 0}, 'at least 1'),
        ({'max_failed_fraction': -0.1}, 'between 0 and 1'),
        ({'task': 'phonons'}, 'single_point, relax'),
        ({'prechecks': {'distence': 1.0}}, 'distence'),
    ],
)
def test_bad_inputs_are_refused_before_submission(build, candidates, changes, words):
    builder = build(candidates)
    inputs = {**builder._inputs(prune=True), **changes}
    with pytest.raises(ValueError, match=words):
        run_get_node(builder._process_class, **inputs)


def test_no_candidates_are_refused(build):
    with pytest.raises(ValueError, match='no candidates'):
        build(Frames.empty())


def test_code_that_is_not_installed_is_refused(build, candidates, aiida_code_installed):
    builder = build(candidates)
    plugin = builder.code.default_calc_job_plugin
    builder.code = aiida_code_installed(
        label='absent', filepath_executable='/no/such/program', default_calc_job_plugin=plugin
    )
    with pytest.raises(ValueError, match='/no/such/program'):
        run_get_node(builder)
