"""One test of the contract for all registered labelling work chains, with the real programs."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.plugins.entry_point import get_entry_point_names

from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.label.base import LabelWorkChain

PREFIX = 'prospect.label.'
NAMES = [name.removeprefix(PREFIX) for name in get_entry_point_names('aiida.workflows') if name.startswith(PREFIX)]


@pytest.fixture(params=NAMES)
def build(request):
    """Return the factory of builders of one code; it is in `conftest.py` beside this file."""
    return request.getfixturevalue(f'label_{request.param}')


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
    jobs = {child.pk for child in node.called_descendants if isinstance(child, orm.CalcJobNode)}
    assert runs_behind(outputs['labels'])
    assert runs_behind(outputs['labels']) <= jobs


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
