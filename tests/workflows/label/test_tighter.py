"""Tests for the settings with which labels are made again."""

from io import BytesIO

import pytest

from aiida_prospect.data.potential import PotentialData
from aiida_prospect.workflows.label.tighter import tighter_inputs
from aiida_prospect.workflows.protocols import ProtocolError, load_protocol


@pytest.fixture
def made_with(label_quantumespresso, silicon_frames):
    """Return inputs of pw.x with choices that are the user's own."""
    own = {'parameters': {'SYSTEM': {'ecutwfc': 12.0, 'nspin': 2, 'input_dft': 'rpbe'}}, 'kpoints_distance': 0.4}
    options = {'queue_name': 'long', 'account': 'abc'}
    builder = label_quantumespresso(silicon_frames(1), own, options=options)
    return builder._process_class, builder._inputs(prune=True)


def test_what_the_user_chose_stays_and_the_protocol_makes_the_rest_tighter(made_with):
    workflow, inputs = made_with
    tight = tighter_inputs(workflow, inputs, 'stringent')
    expected = load_protocol('label_quantumespresso', 'stringent')
    single_point = tight['single_point']
    assert single_point['kpoints_distance'].value == expected['kpoints_distance']
    assert single_point['conv_thr_per_atom'].value == expected['conv_thr_per_atom']
    system = single_point['parameters']['SYSTEM']
    assert (system['ecutwfc'], system['nspin'], system['input_dft']) == (12.0, 2, 'rpbe')
    options = tight['options'].get_dict()
    assert (options['queue_name'], options['account']) == ('long', 'abc')
    assert options['max_wallclock_seconds'] == expected['options']['max_wallclock_seconds']
    assert tight['code'].uuid == inputs['code'].uuid
    assert 'candidates' not in tight


def test_overrides_come_on_top(made_with):
    workflow, inputs = made_with
    tight = tighter_inputs(workflow, inputs, None, {'parameters': {'SYSTEM': {'ecutwfc': 90.0}}})
    assert tight['single_point']['parameters']['SYSTEM']['ecutwfc'] == 90.0
    assert tight['single_point']['kpoints_distance'].value == inputs['single_point']['kpoints_distance'].value
    assert tighter_inputs(workflow, inputs, None, {'clean_workdir': 'keep all'})['clean_workdir'] == 'keep all'
    with pytest.raises(ProtocolError, match='kpoint_distance'):
        tighter_inputs(workflow, inputs, None, {'kpoint_distance': 0.1})


def test_the_potential_that_labelled_labels_again(label_calculator, silicon_frames):
    builder = label_calculator(silicon_frames(1), {'relax': {'fmax': 0.1}})
    inputs = builder._inputs(prune=True)
    tight = tighter_inputs(builder._process_class, inputs, 'stringent')
    assert tight['potential'].uuid == inputs['potential'].uuid
    assert tight['relax']['fmax'] == load_protocol('label_calculator', 'stringent')['relax']['fmax']


def test_pw_in_bundles_keeps_what_the_user_chose_too(label_quantumespresso_bundle, silicon_frames):
    command, own = 'mpirun -np 4 pw.x -npool 2', {'parameters': {'SYSTEM': {'ecutwfc': 12.0}}, 'kpoints_distance': 0.4}
    builder = label_quantumespresso_bundle(silicon_frames(1), own, command=command)
    workflow, inputs = builder._process_class, builder._inputs(prune=True)
    expected = load_protocol('label_quantumespresso', 'stringent')
    overrides = {'parameters': {'ELECTRONS': {'mixing_beta': 0.2}}}
    tight = tighter_inputs(workflow, inputs, 'stringent', overrides)
    told = tight['potential'].spec()['arguments']
    assert told['kpoints_distance'] == expected['kpoints_distance']
    assert told['conv_thr_per_atom'] == expected['conv_thr_per_atom']
    assert (told['command'], told['parameters']['SYSTEM']['ecutwfc']) == (command, 12.0)
    assert told['parameters']['ELECTRONS']['mixing_beta'] == 0.2
    assert tight['potential_relax'].spec()['arguments']['kpoints_distance'] == expected['relax']['kpoints_distance']
    assert tight['potential'].store().calculator_files == ['Si.upf']
    assert 'candidates' not in tight
    same = tighter_inputs(workflow, inputs, None)
    assert same['potential'].uuid == inputs['potential'].uuid


def test_bundles_whose_pseudopotentials_are_gone_are_explained(label_quantumespresso_bundle, silicon_frames):
    builder = label_quantumespresso_bundle(silicon_frames(1))
    arguments = builder.potential.spec()['arguments']
    files = {'Si.upf': BytesIO(b'another one')}
    builder.potential = PotentialData.from_calculator('pw', arguments, elements=['Si'], files=files)
    with pytest.raises(ValueError, match='no family of pseudopotentials has those'):
        tighter_inputs(builder._process_class, builder._inputs(prune=True), 'stringent')
