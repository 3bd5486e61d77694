"""What a fit of ML-POD tells of itself."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_prospect.calculations.runners.train_pod import fit_model
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.ensemble_judgement import judge_members, judge_results
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.pod import PodEvaluator
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.methods.model_errors import model_errors
from aiida_prospect.methods.pod_equations import equations
from aiida_prospect.methods.pod_settings import PodSettings
from aiida_prospect.workflows.protocols import load_protocol

ODD = 9


@pytest.fixture(scope='module')
def labels():
    """Return nine crystals that are much the same, and one that is like none of them."""
    structures = [bulk('Si', 'diamond', a=5.43, cubic=True) for _ in range(ODD)]
    structures.append(bulk('Si', 'sc', a=2.2).repeat((2, 2, 2)))
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.1, seed=seed)
    frames = Frames.from_atoms(structures)
    found = AseEvaluator(lambda: calculator('Si_Stillinger_Weber')).evaluate(frames)
    return frames.replace(energy=found.energy, forces=found.forces, stress=found.stress)


@pytest.fixture(scope='module')
def members(labels, tmp_path_factory):
    """Return models and results of members that differ by the labels that they were fitted to."""
    folder = tmp_path_factory.mktemp('members')
    protocol = load_protocol('train_pod', 'fast')
    parameters = {key: value for key, value in protocol.items() if key not in ('options', 'escalation')}
    models = {f'member_{seed:02d}': folder / str(seed) for seed in range(12)}
    # All members ask for the same equations.
    settings = PodSettings.from_parameters(parameters)
    rows = equations(labels, settings.descriptor_text(['Si']), ['Si'], settings.repulsion)
    job = {'type_map': ['Si'], 'parameters': parameters}
    results = {
        name: fit_model({**job, 'seed': seed}, labels, None, models[name], lambda *_: rows) | {'total_seconds': 1.0}
        for seed, name in enumerate(models)
    }
    return models, results


def test_members_are_measured_on_the_same_labels(members, labels):
    models, results = members
    for name, model in models.items():
        expected = model_errors(labels, PodEvaluator(model).evaluate(labels))
        assert results[name]['errors']['training'] == pytest.approx(expected)
    assert len({tuple(result['errors']['training'].values()) for result in results.values()}) > 1


def test_a_member_that_lacks_what_the_others_have_learnt_shows_it(members, labels):
    models, results = members
    errors = {name: PodEvaluator(model).evaluate(labels).forces - labels.forces for name, model in models.items()}
    at_odd_one = {name: np.abs(error[labels.offsets[ODD] :]).max() for name, error in errors.items()}
    usual = np.median(list(at_odd_one.values()))
    ignorant = {name for name, error in at_odd_one.items() if error > 3 * usual}
    assert ignorant
    ratios = {'forces': 2.0}
    found = {
        kind: {name: result['errors'][kind] for name, result in results.items()} for kind in ('training', 'fitted')
    }
    assert set(judge_members(found['training'], ratios)) == ignorant
    assert not judge_members(found['fitted'], ratios)
    judgement = judge_results(results, {}, {'max_error_ratio': ratios})
    assert judgement['errors'] == found['training']
