"""Tests of labels from pw.x, with pw.x."""

import subprocess
import sys

import numpy as np
import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, FolderData, InstalledCode, WorkChainNode
from aiida.plugins import CalculationFactory
from ase import Atoms
from ase.build import bulk

from aiida_prospect.common.enums import JobLoss
from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.codes import check_processes
from aiida_prospect.workflows.label.costs import RunCost, core_seconds
from aiida_prospect.workflows.label.plugin import runs_of
from aiida_prospect.workflows.label.quantumespresso import check_forces, find_cutoffs, load_family

EXIT_CODES = CalculationFactory('quantumespresso.pw').exit_codes
ANYTHING = dict.fromkeys(('distance', 'distance_floor', 'volume_min', 'volume_max', 'angle', 'aspect', 'height'))


def test_frame_without_self_consistency_is_never_ok_and_a_failure_is_explained(label_quantumespresso):
    """Two iterations are too few for one crystal, and on two atoms at one place pw.x gives up."""
    collapsed = Atoms('Si2', positions=[[0, 0, 0], [0, 0, 0]], cell=[5, 5, 5], pbc=True)
    frames = Frames.from_atoms([bulk('Si', 'diamond', a=5.43), collapsed])
    overrides = {
        'parameters': {'SYSTEM': {'ecutwfc': 12.0}, 'ELECTRONS': {'electron_maxstep': 2}},
        'max_iterations': 1,
        'max_concurrent': 2,
        'prechecks': ANYTHING,
    }
    outputs, node = run_get_node(label_quantumespresso(frames, overrides))
    assert node.exit_status == node.process_class.exit_codes.ERROR_NO_LABELS.status
    labels = outputs['labels'].frames
    assert labels.known('status').tolist() == ['unconverged', 'failed']
    assert 'self-consistency' in labels.known('reason')[0]
    assert 'exit status' in labels.known('reason')[1]
    assert np.all(np.isnan(labels.energy))
    assert np.all(np.isnan(labels.forces))
    assert np.all(np.isnan(labels.stress))


@pytest.mark.parametrize(
    ('processes', 'given', 'expected'), [(1, {}, False), (4, {}, True), (1, {'withmpi': True}, True)]
)
def test_mpi_starts_what_is_more_than_one_process(label_quantumespresso, silicon_frames, processes, given, expected):
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': processes}
    builder = label_quantumespresso(silicon_frames(1), {'options': {'resources': resources, **given}})
    assert builder.options['withmpi'] is expected


def test_processes_by_default_of_the_computer(label_quantumespresso, silicon_frames, aiida_computer):
    """Resources may leave it to the computer how many processes a machine gets."""
    computer = aiida_computer(label='four-processes', default_mpiprocs_per_machine=4)
    computer.configure()
    code = InstalledCode(label='four-pw', computer=computer, filepath_executable='/bin/true').store()
    builder = label_quantumespresso(silicon_frames(1), code=code, options={'resources': {'num_machines': 2}})
    assert builder.options['withmpi'] is True
    serial = {'resources': {'num_machines': 2}, 'withmpi': False}
    assert 'asks for 8 processes' in check_processes(code, serial)
    for resources, cores in (
        ({'num_machines': 2}, 8),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 3}, 6),
        ({'num_machines': 2, 'tot_num_mpiprocs': 2, 'num_cores_per_mpiproc': 5}, 10),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 1, 'num_cores_per_machine': 16}, 32),
    ):
        run = CalcJobNode(computer=computer)
        run.set_option('resources', resources)
        assert core_seconds(run.store(), RunCost(wall_seconds=3.0)) == 3 * cores
    code.is_hidden = True


def test_a_run_out_of_wall_time_is_repeated_with_more(label_quantumespresso, silicon_frames):
    """The plugin lets pw.x stop itself in time, and gives up after as many runs as it may have."""
    overrides = {
        'kpoints_distance': 0.5,
        'max_iterations': 1,
        'options': {'max_wallclock_seconds': 1},
        'escalation': {'wall_time_factor': 600},
    }
    outputs, node = run_get_node(label_quantumespresso(silicon_frames(1), overrides))
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    assert (labels.status.tolist(), labels.reason.tolist()) == (['ok'], [''])
    runs = [run for child in node.called if child.process_label == 'PwBaseWorkChain' for run in child.called]
    limits = sorted(run.get_option('max_wallclock_seconds') for run in runs if run.process_label == 'PwCalculation')
    assert limits == [1, 600]


def test_relaxation_into_a_cell_of_other_k_points_ends_with_a_single_point(label_quantumespresso):
    """The mesh of a relaxation is that of its first cell; silicon that expands comes to need fewer k-points."""
    overrides = {
        'etot_conv_thr_per_atom': 1e-3,
        'relax': {
            'kpoints_distance': 2.04,
            'conv_thr_per_atom': 1e-7,
            'parameters': {'CONTROL': {'forc_conv_thr': 1e-2}, 'CELL': {'press_conv_thr': 20.0}},
        },
    }
    builder = label_quantumespresso(Frames.from_atoms([bulk('Si', 'diamond', a=5.1)]), overrides)
    builder.task = 'relax'
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    runs = [run for child in node.called if child.process_label == 'PwBaseWorkChain' for run in runs_of(child)]
    meshes = [run.inputs.kpoints.get_kpoints_mesh()[0] for run in runs]
    assert meshes == [[2, 2, 2], [1, 1, 1]]
    assert runs[-1].inputs.parameters['CONTROL']['calculation'] == 'scf'
    assert runs[-1].inputs.parameters['SYSTEM']['nosym'] is False
    assert labels.energy[0] == pytest.approx(runs[-1].outputs.output_parameters['energy'])
    assert labels.cells[0] == pytest.approx(np.array(runs[0].outputs.output_structure.cell))


def test_moments_and_charge_reach_the_program_and_memory_is_told(label_quantumespresso):
    """Two atoms of silicon far apart have the moments of free atoms, less what the charge takes."""
    far = Atoms('Si2', positions=[[0, 0, 0], [0, 0, 4.5]], cell=[4.5, 4.5, 9.0], pbc=True)
    system = {'ecutwfc': 8.0, 'nspin': 2, 'starting_magnetization': {'Si': 0.6}, 'tot_charge': 1.0}
    outputs, node = run_get_node(
        label_quantumespresso(Frames.from_atoms([far]), {'parameters': {'SYSTEM': system}, 'prechecks': ANYTHING})
    )
    assert node.is_finished_ok, node.exit_message
    runs = [run for child in node.called if child.process_label == 'PwBaseWorkChain' for run in runs_of(child)]
    told = runs[-1].outputs.output_parameters.get_dict()
    assert told['number_of_electrons'] == pytest.approx(7.0)
    assert told['total_magnetization'] > 0.5
    assert outputs['report']['by_frame']['memory_mb'][0] > 0


@pytest.mark.parametrize(
    ('system', 'words'),
    [
        ({'nspin': 2}, 'starting_magnetization'),
        ({'starting_magnetization': {'Si': 0.5}}, r'without `nspin: 2`'),
    ],
)
def test_spin_without_effect_is_refused(label_quantumespresso, silicon_frames, system, words):
    with pytest.raises(ValueError, match=words):
        run_get_node(label_quantumespresso(silicon_frames(1), {'parameters': {'SYSTEM': system}}))


def test_forces_that_are_switched_off_are_refused(label_quantumespresso, silicon_frames):
    with pytest.raises(ValueError, match=r'`tprnfor` in `parameters\.CONTROL` must be true'):
        run_get_node(label_quantumespresso(silicon_frames(1), {'parameters': {'CONTROL': {'tprnfor': False}}}))
    with pytest.raises(ValueError, match='tprnfor'):
        check_forces({'control': {'TPRNFOR': False}})
    check_forces({'CONTROL': {'tprnfor': True, 'tstress': False}})


def test_without_stress_there_are_labels_all_the_same(label_quantumespresso, silicon_frames):
    parameters = {'CONTROL': {'tstress': False}, 'SYSTEM': {'ecutwfc': 12.0}}
    outputs, node = run_get_node(label_quantumespresso(silicon_frames(1, n_atoms=2), {'parameters': parameters}))
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    assert labels.status.tolist() == ['ok']
    assert np.all(np.isfinite(labels.forces))
    assert np.all(np.isnan(labels.stress))


def test_a_run_whose_output_is_missing_or_cut_short_is_a_loss(label_quantumespresso, silicon_frames, ended):
    process = instantiate_process(get_manager().get_runner(), label_quantumespresso(silicon_frames(1)))
    of_stdout = [f'STDOUT_{what}' for what in ('MISSING', 'READ', 'PARSE', 'INCOMPLETE')]
    for name in (*of_stdout, 'XML_MISSING', 'XML_READ', 'XML_PARSE', 'FILES'):
        run = ended(getattr(EXIT_CODES, f'ERROR_OUTPUT_{name}'), 'quantumespresso.pw')
        retrieved = FolderData()
        retrieved.base.links.add_incoming(run, LinkType.CREATE, 'retrieved')
        retrieved.store()
        assert process._loss_of(WorkChainNode(), run) is JobLoss.SILENT, name


def test_last_words_in_another_encoding_are_quoted(label_quantumespresso, silicon_frames, ended):
    process = instantiate_process(get_manager().get_runner(), label_quantumespresso(silicon_frames(1)))
    run = ended(EXIT_CODES.ERROR_OUTPUT_STDOUT_INCOMPLETE, 'quantumespresso.pw')
    retrieved = FolderData()
    retrieved.base.repository.put_object_from_bytes(b' %%%%\n  cannot open /scratch/andr\xe9\n %%%%\n', 'CRASH')
    retrieved.base.links.add_incoming(run, LinkType.CREATE, 'retrieved')
    retrieved.store()
    assert process.complaint_of(run) == 'cannot open /scratch/andr\ufffd'
    assert process._loss_of(WorkChainNode(), run) is None


def test_unknown_family_is_refused_with_what_is_there(label_quantumespresso, silicon_frames):
    with pytest.raises(ValueError, match=r'(?s)no family.*rrkj-pbe.*aiida-pseudo install'):
        run_get_node(label_quantumespresso(silicon_frames(1), pseudo_family='SSSP/9.9'))


def test_element_without_pseudopotential_is_refused(label_quantumespresso, generate_frames):
    with pytest.raises(ValueError, match='no pseudopotential of Cl, Na'):
        run_get_node(label_quantumespresso(generate_frames('NaCl', 1)))


def test_code_of_another_program_is_refused(label_quantumespresso, silicon_frames, aiida_code_installed):
    code = aiida_code_installed(
        label='ph', filepath_executable='/bin/true', default_calc_job_plugin='core.arithmetic.add'
    )
    with pytest.raises(ValueError, match=r'is for `core.arithmetic.add`'):
        run_get_node(label_quantumespresso(silicon_frames(1), code=code))


def test_misspelt_override_is_refused(label_quantumespresso, silicon_frames):
    with pytest.raises(ValueError, match='kpoint_distance'):
        label_quantumespresso(silicon_frames(1), {'kpoint_distance': 0.2})


def test_cutoffs_come_from_the_family_unless_given(pseudo_family):
    family = load_family(pseudo_family.label)
    assert find_cutoffs(family, ('Si',), {}) == {'ecutwfc': 20.0, 'ecutrho': 80.0}
    assert find_cutoffs(family, ('Si',), {'SYSTEM': {'ecutwfc': 12.0}}) == {'ecutwfc': 12.0}


def test_without_the_plugin_the_package_imports_and_names_the_extra():
    script = (
        'import sys; sys.modules["aiida_quantumespresso"] = None;'
        'from aiida_prospect.workflows.label.quantumespresso import load_pw_base; load_pw_base()'
    )
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'pip install "aiida-prospect[qe]"' in result.stderr
