"""Tests of how runs of a reference method become labels."""

import numpy as np
import pytest

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.labels import Run, accepted, count_by_status, divide_evenly, label, runs_of_parts, screen
from aiida_prospect.methods.labels_quantumespresso import read_run
from aiida_prospect.methods.prechecks import Prechecks

OUTPUT = {
    'energy': -10.0,
    'energy_units': 'eV',
    'forces_units': 'ev / angstrom',
    'stress_units': 'GPascal',
    'convergence_info': {'scf_conv': {'convergence_achieved': True}},
}


@pytest.fixture
def candidates(silicon_frames):
    crushed = silicon_frames(1)
    crushed = crushed.replace(cells=crushed.cells / 3, positions=crushed.positions / 3)
    return Frames.concatenate([silicon_frames(2), crushed, silicon_frames(2, n_atoms=2, seed=1)])


def run(n_atoms, status=LabelStatus.OK, **changes):
    values = {'energy': -1.0, 'forces': np.ones((n_atoms, 3)), 'stress': np.eye(3), 'steps': 1, **changes}
    return Run(status, **values)


def test_of_what_was_predicted_only_what_can_be_told_from_labels_survives(candidates):
    predicted = candidates.replace(energy=np.zeros(5), energy_spread=np.ones(5), forces=np.zeros((28, 3)))
    screened = screen(predicted, Prechecks())
    assert screened.energy is None
    assert screened.forces is None
    assert np.array_equal(screened.energy_spread, np.ones(5))
    assert screened.known('status').tolist() == ['', '', 'rejected', '', '']


def test_source_of_accepted_frames_is_their_place_among_all(candidates):
    passed = accepted(screen(candidates, Prechecks()))
    assert passed.known('source').tolist() == [0, 1, 3, 4]
    assert np.array_equal(passed[2].positions, candidates[3].positions)


def test_every_frame_returns_in_its_place(candidates):
    screened = screen(candidates, Prechecks())
    runs = {
        4: run(2, energy=-4.0),
        0: run(8, energy=-0.5),
        1: Run(LabelStatus.UNCONVERGED, 'too hard', energy=-99.0, forces=np.ones((8, 3))),
    }
    labels = label(screened, runs)
    assert labels.known('status').tolist() == ['ok', 'unconverged', 'rejected', 'failed', 'ok']
    assert [bool(reason) for reason in labels.known('reason')] == [False, True, True, True, False]
    assert labels.energy.tolist() == pytest.approx([-0.5, np.nan, np.nan, np.nan, -4.0], nan_ok=True)
    assert np.array_equal(np.isnan(labels.forces[:, 0]), np.repeat([False, True, True, True, False], [8, 8, 8, 2, 2]))
    assert np.array_equal(labels.positions, candidates.positions)
    assert sum(count_by_status(labels).values()) == len(candidates)


@pytest.mark.parametrize('changes', [{'energy': np.nan}, {'forces': None}, {'forces': np.full((8, 3), np.inf)}])
def test_label_that_is_not_finite_is_not_ok(candidates, changes):
    labels = label(screen(candidates, Prechecks()), {0: run(8, **changes)})
    assert labels.known('status')[0] == 'failed'
    assert np.isnan(labels.energy[0])


def test_of_two_parts_about_one_frame_the_later_counts(candidates):
    part = accepted(screen(candidates, Prechecks()))
    part = part.replace(energy=np.zeros(4), forces=np.zeros((20, 3)), status=['failed'] * 4, reason=['late'] * 4)
    again = part.select([1]).replace(energy=[1.0], status=['ok'], reason=[''])
    runs = runs_of_parts([part, again])
    assert [runs[index].status.value for index in (0, 1, 3, 4)] == ['failed', 'ok', 'failed', 'failed']


@pytest.mark.parametrize(
    ('status', 'expected'),
    [('converged', 'ok'), ('max_steps', 'ok'), ('no_progress', 'ok'), ('unphysical', 'failed'), ('', 'failed')],
)
def test_end_of_a_relaxation_becomes_a_status(candidates, status, expected):
    part = candidates.select([0]).replace(
        source=[0], energy=[-1.0], forces=np.zeros((8, 3)), status=[status], reason=['why'], steps=[7]
    )
    result = runs_of_parts([part])[0]
    assert result.status.value == expected
    assert bool(result.reason) == (status != 'converged')
    assert result.steps == 8


def test_run_of_quantumespresso_without_self_consistency_is_never_ok():
    arrays = np.zeros((1, 8, 3)), np.zeros((1, 3, 3))
    assert read_run(OUTPUT, *arrays).status is LabelStatus.OK
    for convergence in ({}, {'scf_conv': {}}, {'scf_conv': {'convergence_achieved': False}}):
        assert read_run({**OUTPUT, 'convergence_info': convergence}, *arrays).status is LabelStatus.UNCONVERGED


def test_a_run_of_quantumespresso_needs_forces_but_no_stress():
    run = read_run(OUTPUT, None, np.zeros((1, 3, 3)))
    assert (run.status, run.reason) == (LabelStatus.FAILED, 'the run has no forces')
    run = read_run(OUTPUT, np.zeros((1, 8, 3)), None)
    assert (run.status, run.stress) == (LabelStatus.OK, None)


def test_foreign_units_are_refused():
    with pytest.raises(ValueError, match='kbar'):
        read_run({**OUTPUT, 'stress_units': 'kbar'}, np.zeros((1, 8, 3)), np.zeros((1, 3, 3)))


@pytest.mark.parametrize(
    ('number', 'size', 'lengths'), [(7, 3, [2, 2, 3]), (6, 3, [3, 3]), (2, 5, [2]), (3, 1, [1, 1, 1]), (0, 4, [])]
)
def test_parts_are_few_and_about_as_long_as_each_other(number, size, lengths):
    parts = divide_evenly(number, size)
    assert [end - first for first, end in parts] == lengths
    assert [index for first, end in parts for index in range(first, end)] == list(range(number))
