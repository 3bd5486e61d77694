"""Tests of labels from VASP, with a program that stands in for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.label.vasp import load_vasp


def jobs_of(node):
    """Return the runs of the program, in their order."""
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    return sorted(jobs, key=lambda job: job.pk)


def overlap(processes):
    """Return the largest number of processes that lived at the same time."""
    events = [(p.ctime, 1) for p in processes] + [(p.mtime, -1) for p in processes]
    return int(np.max(np.cumsum([change for _, change in sorted(events)])))


def lines(n_atoms):
    """Return a chain of dimers with so many atoms."""
    positions = [(2.4 * (i // 2) * 1.3, 0.3 * (i % 2), 2.4 * (i % 2)) for i in range(n_atoms)]
    return Atoms('Si' * n_atoms, positions=positions, cell=[1.56 * n_atoms, 4.0, 5.0], pbc=True)


def interleaved():
    """Return rock salt with a twist, sodium and chlorine by turns."""
    atoms = bulk('NaCl', 'rocksalt', a=4.4, cubic=True)
    atoms.rattle(0.05, seed=1)
    assert ''.join(atoms.symbols[:4]) == 'NaClNaCl'
    return atoms


def test_each_failure_ends_as_a_frame_with_status_and_reason(label_vasp):
    """NELM is reached, the output is cut short, the program gives up; and no more than two jobs live at a time."""
    frames = Frames.from_atoms([lines(n) for n in (2, 4, 6, 8)])
    overrides = {'max_concurrent': 2, 'escalation': {'max_losses': 1}, 'prechecks': {'height': None, 'aspect': None}}
    builder = label_vasp(frames, overrides, failures='4=nelm 6=unfinished 8=crash')
    outputs, node = run_get_node(builder)
    assert node.exit_status == node.process_class.exit_codes.ERROR_TOO_MANY_FAILED.status
    labels, report = outputs['labels'].frames, outputs['report'].get_dict()
    assert labels.status.tolist() == ['ok', 'unconverged', 'failed', 'failed']
    reasons = labels.reason.tolist()
    assert reasons[0] == ''
    assert 'electronic structure is not converged' in reasons[1]
    assert 'did not reach the end' in reasons[2]
    assert 'internal error in subroutine IBZKPT' in reasons[3]
    assert np.isfinite(labels.energy).tolist() == [True, False, False, False]
    runs = [sum(len(job.inputs.structure.sites) == n for job in jobs_of(node)) for n in (2, 4, 6, 8)]
    assert runs == [1, 2, 2, 1], 'the plugin mends NELM once, what was cut short is repeated once'
    assert overlap([child for child in node.called if child.process_label == 'VaspWorkChain']) == 2
    assert [seconds > 0 for seconds in report['by_frame']['core_seconds'][:2]] == [True, True]
    assert report['by_frame']['memory_mb'][:2] == [52.0, 52.0]


@pytest.mark.parametrize(('failures', 'status'), [(1, 'ok'), (9, 'failed')])
def test_a_work_chain_that_excepts_is_repeated(label_vasp, silicon_frames, monkeypatch, failures, status):
    """As happens where the message broker is away just when the plugin submits a run."""
    submit, attempts = load_vasp().submit, []

    def refuse(self, *arguments, **inputs):
        attempts.append(self.node.pk)
        if len(attempts) <= failures:
            raise ConnectionError('the broker is away')
        return submit(self, *arguments, **inputs)

    monkeypatch.setattr(load_vasp(), 'submit', refuse)
    builder = label_vasp(silicon_frames(1, n_atoms=2), {'escalation': {'max_losses': 2}})
    outputs, node = run_get_node(builder)
    labels = outputs['labels'].frames
    assert labels.status.tolist() == [status]
    assert len(attempts) == (2 if status == 'ok' else 3)
    assert ('the broker is away' in labels.reason[0]) == (status == 'failed')
    extracted = [child for child in node.called if child.process_label == 'extract_structure']
    assert len(extracted) == 1


@pytest.mark.parametrize(('task', 'statuses'), [('single_point', [700, 0]), ('relax', [700, 702, 0])])
def test_a_job_that_was_cut_short_is_repeated(label_vasp, silicon_frames, task, statuses):
    """A relaxation goes on from the last structure that was written; broken off, it still gets a single point."""
    builder = label_vasp(silicon_frames(1, n_atoms=2), failures='once=unfinished')
    builder.task = task
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs['labels'].frames.status.tolist() == ['ok']
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == statuses
    assert [Path(job.get_remote_workdir()).exists() for job in jobs] == [status != 0 for status in statuses]
    cells = [np.array(job.inputs.structure.cell) for job in jobs]
    assert np.allclose(cells[0], cells[1]) == (task == 'single_point')


def test_last_words_in_another_encoding_are_quoted(label_vasp, silicon_frames, ended):
    process = instantiate_process(get_manager().get_runner(), label_vasp(silicon_frames(1, n_atoms=2)))
    run = ended(ExitCode(1001, 'crashed'), 'vasp.vasp')
    retrieved = orm.FolderData()
    said = b' running in /scratch/andr\xe9\n |  VERY BAD NEWS! internal error in \xe9  |\n'
    retrieved.base.repository.put_object_from_bytes(said, 'vasp_output')
    retrieved.base.links.add_incoming(run, LinkType.CREATE, 'retrieved')
    retrieved.store()
    assert process.complaint_of(run) == 'VERY BAD NEWS! internal error in \ufffd'


def test_what_a_user_sets_reaches_the_program_and_atoms_keep_their_order(label_vasp):
    """Moments, electrons and variants of POTCARs; sodium and chlorine by turns, as crystals from files may be."""
    atoms = interleaved()
    overrides = {
        'parameters': {'ISPIN': 2, 'nelect': 55.0},
        'magmom_mapping': {'Na': 0.5, 'default': 1.5},
        'potential_mapping': {'Na': 'Na_pv'},
        'ldau_mapping': {'mapping': {'Na': ['p', 2.0]}, 'utype': 2},
    }
    outputs, node = run_get_node(label_vasp(Frames.from_atoms([atoms]), overrides))
    assert node.is_finished_ok, node.exit_message
    (job,) = jobs_of(node)
    incar = job.inputs.parameters.get_dict()
    assert incar['encut'] == pytest.approx(1.3 * 265.0), 'the largest ENMAX is that of chlorine'
    assert (incar['ispin'], incar['nelect'], incar['gga'], incar['nsw']) == (2, 55.0, 'PE', 0)
    assert np.ravel(incar['ldauu']).astype(float).max() == 2.0
    assert incar['magmom'].split() == ['0.5', '1.5'] * 4
    assert incar['ediff'] == pytest.approx(8e-6)
    assert {potcar.full_name for potcar in job.inputs.potential.values()} == {'Na_pv', 'Cl'}
    # 2π/4.4 Å is 1.43/Å: four points are less than 0.4/Å apart, three are not.
    assert job.inputs.kpoints.get_kpoints_mesh() == ([4, 4, 4], [0, 0, 0])
    atoms.calc = LennardJones(sigma=2.2, epsilon=0.3, rc=4.4, smooth=True)
    labels = outputs['labels'].frames
    assert labels.forces == pytest.approx(atoms.get_forces(), abs=1e-6)
    assert labels.energy[0] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert labels.stress[0] == pytest.approx(atoms.get_stress(voigt=False), abs=1e-8)


def test_relaxation_ends_with_a_single_point_of_its_final_cell(label_vasp):
    """Plane waves and k-points of a relaxation are those of the cell that it began with; the label has its own."""
    atoms = bulk('Si', 'fcc', a=3.75)
    atoms.set_cell(atoms.cell.array @ np.diag([1.02, 1.0, 0.98]), scale_atoms=True)
    overrides = {'relax': {'kpoints_distance': 0.24, 'parameters': {'nsw': 40}}}
    builder = label_vasp(Frames.from_atoms([atoms]), overrides)
    builder.task = 'relax'
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    assert (labels.status.tolist(), labels.reason.tolist()) == (['ok'], [''])
    relaxation, single_point = jobs_of(node)
    assert relaxation.inputs.parameters['nsw'] == 40
    assert single_point.inputs.parameters['nsw'] == 0
    assert single_point.inputs.parameters['isym'] == 2
    assert max(relaxation.inputs.kpoints.get_kpoints_mesh()[0]) < max(single_point.inputs.kpoints.get_kpoints_mesh()[0])
    assert labels.cells[0] == pytest.approx(np.array(relaxation.outputs.structure.cell))
    assert labels.volumes[0] < 0.9 * atoms.get_volume()
    assert np.max(np.abs(labels.stress)) < 0.01
    assert labels.steps[0] == relaxation.outputs.misc['run_status']['last_iteration_index'][0] + 1


@pytest.mark.parametrize(
    ('overrides', 'options', 'words'),
    [
        ({}, {'potential_family': 'PBE.99'}, r'no family of POTCARs `PBE\.99`.*stand-in.*uploadfamily'),
        ({'potential_mapping': {'Na': 'Na'}}, {}, r'no POTCAR `Na` for Na.*Na_pv, Na_sv.*potential_mapping'),
        ({'potential_mapping': {'Na': 'Cl'}}, {}, 'gives Na the POTCAR `Cl` of Cl'),
        ({'parameters': {'magmom': '8*1.0'}}, {}, 'magmom_mapping'),
        ({'parameters': {'kspacing': 0.2}}, {}, 'kpoints_distance'),
        ({'parameters': {'encutt': 400}}, {}, 'encutt'),
        ({'magmom_mapping': {'Na': 1.0}}, {}, 'ispin'),
        ({'parameters': {'nelect': 55.0}}, {}, 'several compositions'),
    ],
    ids=lambda value: str(value),
)
def test_bad_input_is_refused_before_submission(label_vasp, overrides, options, words):
    sodium = bulk('Na', 'bcc', a=4.2)
    builder = label_vasp(Frames.from_atoms([interleaved(), sodium]), overrides, **options)
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    with pytest.raises(ValueError, match=f'(?s){words}'):
        run_get_node(builder)
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before


def test_element_that_the_family_lacks_is_refused(label_vasp):
    with pytest.raises(ValueError, match='for Al it has none: upload one'):
        run_get_node(label_vasp(Frames.from_atoms([bulk('Al')])))


def test_code_of_another_program_is_refused(label_vasp, silicon_frames, aiida_code_installed):
    code = aiida_code_installed(
        label='not-vasp', filepath_executable='/bin/true', default_calc_job_plugin='quantumespresso.pw'
    )
    with pytest.raises(ValueError, match=r'is for `quantumespresso\.pw`, needed is one for `vasp\.vasp`'):
        run_get_node(label_vasp(silicon_frames(1), code=code))


def test_without_the_plugin_the_package_imports_and_names_the_extra():
    script = (
        'import sys; sys.modules["aiida_vasp"] = None;'
        'from aiida_prospect.workflows.label.vasp import load_vasp; load_vasp()'
    )
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'pip install "aiida-prospect[vasp]"' in result.stderr
