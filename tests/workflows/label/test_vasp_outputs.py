"""Files that VASP itself wrote go through the plugin and through our conversion, and agree with other readers.

They are the test data of aiida-vasp (MIT licence), are in its source distribution only, and are not copied here: pip
fetches it into a folder of pytest's cache, once.
"""

import re
import subprocess
import sys
import tarfile
import warnings
from importlib.metadata import version
from io import BytesIO

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.plugins import ParserFactory
from ase.io import read
from pymatgen.io.vasp import Vasprun

from aiida_prospect.calculations.functions.collect_vasp import collect_vasp
from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import EV_PER_ANGSTROM3_PER_KBAR, stress_from_vasp, virial_from_stress
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import screen
from aiida_prospect.methods.labels_vasp import read_run
from aiida_prospect.methods.prechecks import Prechecks
from aiida_prospect.workflows.label.vasp import PARSER

# Two atoms out of place under shear, VASP 5.4; eight, VASP 5.3; two, VASP 6.2; 104 atoms, VASP 5.4.
SINGLE_POINTS = ('exit_codes/converged/out', 'basic_run', 'import_calc', 'phonondb')
RELAXATION = 'mock_silicon_relax-183a9b15ab65b5d7b2bd23b6bd46c9e5/out'
NEEDED = (*SINGLE_POINTS, RELAXATION, 'exit_codes/elec-unconverged/out', 'exit_codes/unfinished/out')
FILES = ('vasprun.xml', 'OUTCAR', 'CONTCAR', 'vasp_output')
VOIGT = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]


@pytest.fixture(scope='session')
def outputs_of_vasp(request):
    """Return the folder with the test data of aiida-vasp."""
    folder = request.config.cache.mkdir(f'aiida-vasp-{version("aiida-vasp")}')
    name = f'aiida-vasp=={version("aiida-vasp")}'
    if not list(folder.glob('*.tar.gz')):
        command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--no-binary', 'aiida-vasp', name]
        result = subprocess.run([*command, '--dest', str(folder)], capture_output=True, text=True)
        if result.returncode:
            pytest.skip(f'pip cannot download the source of {name}: {result.stderr.strip().splitlines()[-1]}')
    (archive,) = folder.glob('*.tar.gz')
    root = folder / 'data'
    if not root.is_dir():
        with tarfile.open(archive) as source:
            for member in source.getmembers():
                case, _, file = member.name.partition('/tests/test_data/')[2].rpartition('/')
                if case in NEEDED and file in FILES:
                    (root / case).mkdir(parents=True, exist_ok=True)
                    (root / case / file).write_bytes(source.extractfile(member).read())
    return root


@pytest.fixture
def parse(outputs_of_vasp, aiida_localhost):
    """Return a function that lets the parser of the plugin read a run, with our settings, and returns its outputs."""

    def run(case, **settings):
        node = orm.CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:vasp.vasp')
        inputs = orm.Dict({'parser_settings': {**PARSER, **settings}}).store()
        node.base.links.add_incoming(inputs, LinkType.INPUT_CALC, 'settings')
        node.store()
        retrieved = orm.FolderData()
        for name in FILES:
            path = outputs_of_vasp / case / name
            if path.is_file():
                retrieved.base.repository.put_object_from_filelike(BytesIO(path.read_bytes()), name)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
        retrieved.store()
        outputs, process = ParserFactory('vasp.vasp').parse_from_node(node, store_provenance=False)
        return outputs, process.exit_status

    return run


def outcar_of(folder):
    """Return free energy, stress in kbar and forces as they stand in OUTCAR, the last of each."""
    text = (folder / 'OUTCAR').read_text()
    energy = float(re.findall(r'free  energy   TOTEN  =\s+(\S+)', text)[-1])
    kbar = np.array(re.findall(r'in kB\s+(.*)', text)[-1].split(), dtype=float)
    table = text.split('TOTAL-FORCE (eV/Angst)')[-1].split('\n --')[1].strip('-\n ')
    forces = np.array([line.split()[3:6] for line in table.splitlines()], dtype=float)
    return energy, kbar, forces


@pytest.mark.parametrize('case', SINGLE_POINTS)
def test_label_of_a_run_of_vasp_agrees_with_outcar_pymatgen_and_ase(parse, outputs_of_vasp, case):
    """The free energy, eV/Å, eV/Å³ and positive under tension, by three readers that share no code with ours."""
    outputs, status = parse(case)
    assert status == 0
    folder = outputs_of_vasp / case
    crystal = read(folder / 'vasprun.xml', index=-1)
    frames = Frames.from_atoms([crystal])
    outcome = {'key': 'frame', 'status': 'ok', 'reason': '', 'steps': 1, 'core_seconds': 1.0, 'memory_mb': 1.0}
    screened = screen(frames, Prechecks(**dict.fromkeys(Prechecks.__dataclass_fields__)))
    collected = collect_vasp(
        DatasetData(screened), orm.Dict({'frames': {'0': outcome}, 'costs': {}}), frame_misc=outputs['misc']
    )
    label = collected['labels'].frames
    assert label.status.tolist() == ['ok']

    energy, kbar, forces = outcar_of(folder)
    assert label.energy[0] == pytest.approx(energy, abs=1e-7)
    assert label.forces == pytest.approx(forces, abs=1e-5)
    stress = np.array([label.stress[0][index] for index in VOIGT])
    assert -stress / EV_PER_ANGSTROM3_PER_KBAR == pytest.approx(kbar, abs=1e-4)
    assert np.trace(virial_from_stress(label.stress, label.volumes)[0]) * np.sum(kbar[:3]) > 0

    assert label.energy[0] == pytest.approx(crystal.get_potential_energy(force_consistent=True), abs=1e-7)
    assert label.forces == pytest.approx(crystal.get_forces(), abs=1e-7)
    assert label.stress[0] == pytest.approx(crystal.get_stress(voigt=False), rel=1e-6, abs=1e-9)

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        vasprun = Vasprun(folder / 'vasprun.xml', parse_potcar_file=False, parse_dos=False, parse_eigen=False)
    step = vasprun.ionic_steps[-1]
    assert label.energy[0] == pytest.approx(float(step['e_fr_energy']), abs=1e-7)
    assert label.forces == pytest.approx(np.array(step['forces']), abs=1e-7)
    assert label.stress[0] == pytest.approx(-np.array(step['stress']) * EV_PER_ANGSTROM3_PER_KBAR, abs=1e-9)


def test_free_energy_is_not_that_of_vanishing_smearing(parse, outputs_of_vasp):
    """In this run they are 0.5 meV apart, so that the comparison above tells which one it is."""
    outputs, _ = parse('exit_codes/converged/out')
    text = (outputs_of_vasp / 'exit_codes/converged/out/OUTCAR').read_text()
    extrapolated = float(re.findall(r'energy\(sigma->0\) =\s+(\S+)', text)[-1])
    assert extrapolated - read_run(outputs['misc'].get_dict()).energy == pytest.approx(5.3e-4, rel=0.01)


def test_the_work_of_the_stress_is_the_change_of_the_energy(parse):
    """A true relaxation of VASP: silicon expands from 18 kbar to none, which only one sign and one unit explain."""
    outputs, status = parse(RELAXATION, include_node=['trajectory'])
    assert status == 0
    trajectory = outputs['trajectory']
    volume = np.abs(np.linalg.det(trajectory.get_array('cells')))
    pull = np.trace(stress_from_vasp(trajectory.get_array('stress')), axis1=1, axis2=2) / 3
    work = np.diff(volume) * (pull[1:] + pull[:-1]) / 2
    change = np.diff(trajectory.get_array('energy_free'))
    assert work[1] == pytest.approx(change[1], rel=0.03), 'the second step is short'
    assert np.sum(work) == pytest.approx(np.sum(change), rel=0.1)


@pytest.mark.parametrize(
    ('case', 'status'), [('exit_codes/elec-unconverged/out', 701), ('exit_codes/unfinished/out', 700)]
)
def test_a_run_that_did_not_converge_is_no_label(parse, case, status):
    outputs, exit_status = parse(case)
    assert exit_status == status
    assert read_run(outputs['misc'].get_dict()).status == 'unconverged'
