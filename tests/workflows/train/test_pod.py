"""Fits of ML-POD in jobs: laws that hold whatever the numbers are, and that the loop can use the result."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, Int
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_prospect.common.enums import Backend
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.workflows.protocols import load_protocol, protocol_descriptions
from aiida_prospect.workflows.train.ensemble import TrainEnsembleWorkChain
from aiida_prospect.workflows.train.pod import PodTrainWorkChain


@pytest.fixture
def datasets(generate_frames):
    return {
        'cycle_00': DatasetData(generate_frames('Na4Cl4', 10, labelled=True, volume=22)),
        'cycle_01': DatasetData(generate_frames('Na2Cl2', 6, labelled=True, volume=22, seed=3)),
    }


def test_members_agree_on_what_they_learned(python_code, datasets, generate_frames, tmp_path):
    overrides = {'force_field': 'pod', 'n_models': 2}
    builder = TrainEnsembleWorkChain.get_builder_from_protocol(
        python_code, datasets, protocol='fast', overrides=overrides
    )
    assert builder.member_workflow.value == 'prospect.train.pod'
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    potentials = results['potentials']
    assert sorted(potentials) == ['potential_00', 'potential_01']
    specifications = []
    for key, potential in potentials.items():
        assert potential.program is Backend.POD
        assert potential.type_map == ['Na', 'Cl']
        assert potential.metadata['tested_on'] == 'cross_validation'
        name = f'{key}{potential.suffix}'
        potential.write_model(tmp_path / name)
        specifications.append(potential.spec(name))
    labelled = datasets['cycle_00'].frames
    evaluated = load_ensemble(specifications, tmp_path).evaluate(labelled)
    energy = evaluated.energy - labelled.energy
    assert np.sqrt(np.mean((energy / labelled.n_atoms) ** 2)) < 0.05
    assert np.all(evaluated.energy_spread > 0)


def test_equal_inputs_make_equal_potentials(python_code, datasets):
    builder = PodTrainWorkChain.get_builder_from_protocol(python_code, datasets, protocol='fast')
    first, node = run_get_node(builder)
    again, _ = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert first['potential'].base.caching.compute_hash() == again['potential'].base.caching.compute_hash()
    builder.seed = Int(1)
    other, _ = run_get_node(builder)
    assert other['potential'].base.caching.compute_hash() != first['potential'].base.caching.compute_hash()


def test_rejected_frames_are_not_fitted_to(python_code, datasets):
    builder = PodTrainWorkChain.get_builder_from_protocol(python_code, datasets, protocol='fast')
    builder.acceptance = Dict({'rejected': {'cycle_00': {str(index): 'far off' for index in range(10)}}})
    results, _ = run_get_node(builder)
    assert results['results']['n_training'] == 6


def test_nothing_left_is_invalid_data(python_code, datasets):
    builder = PodTrainWorkChain.get_builder_from_protocol(python_code, {'cycle_00': datasets['cycle_01']})
    builder.acceptance = Dict({'rejected': {'cycle_00': {str(index): 'far off' for index in range(6)}}})
    _, node = run_get_node(builder)
    assert node.exit_status == PodTrainWorkChain.exit_codes.ERROR_INVALID_DATA.status
    assert 'no frame is left' in node.exit_message


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'descriptor': {'rcut': 0.5}}, 'rin'),
        ({'descriptor': {'cutoff': 5}}, 'cutoff'),
        ({'fit': {'folds': 1}}, 'folds'),
        ({'repulsion': {'inner': 1, 'outer': 0.5}}, 'inner'),
        ({'type_map': ['Na']}, 'Cl'),
    ],
)
def test_impossible_parameters_are_refused(python_code, datasets, changes, message):
    parameters = WorkflowFactory('prospect.train.pod').get_builder_from_protocol(python_code).parameters.get_dict()
    for key, value in changes.items():
        parameters[key] = {**parameters[key], **value} if isinstance(value, dict) else value
    inputs = {'code': python_code, 'training': datasets, 'parameters': Dict(parameters)}
    with pytest.raises(ValueError, match=message):
        run_get_node(CalculationFactory('prospect.pod_train'), **inputs)


@pytest.mark.parametrize('protocol', protocol_descriptions('train_pod'))
def test_protocols_differ_only_in_what_they_are_for(python_code, protocol):
    builder = WorkflowFactory('prospect.train.pod').get_builder_from_protocol(python_code, protocol=protocol)
    assert builder.parameters['fit'] == load_protocol('train_pod')['fit']
