"""Force fields of ML-POD, fitted to labels of real potentials: derivatives, symmetry, ensembles, accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from aiida_prospect.common.enums import Backend
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.evaluators.pod import PodEvaluator, mean_of
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.methods.model_errors import model_errors
from aiida_prospect.methods.pod_equations import FrameEquations, equations
from aiida_prospect.methods.pod_fit import FitSettings, fit
from aiida_prospect.methods.pod_model import PodModel, Repulsion, descriptor_text

SETTINGS = FitSettings(
    tolerance={'energy': 0.01, 'forces': 0.1, 'virial': 0.05},
    energy_scale=None,
    regularisation=[10.0**-power for power in range(4, 11)],
    folds=5,
    share=None,
)
REPULSION = Repulsion(0.8, 1.0)


def rattled(prototype: Atoms, n_frames: int, *, noise: float, strain: float, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(n_frames):
        atoms = prototype.copy()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-strain, strain, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, noise, (len(atoms), 3))
        structures.append(atoms)
    return Frames.from_atoms(structures)


def labelled(frames: Frames, potential: str) -> Frames:
    found = AseEvaluator(lambda: calculator(potential)).evaluate(frames)
    assert not found.errors
    return frames.replace(energy=found.energy, forces=found.forces, stress=found.stress)


def fitted(frames: Frames, path, settings: FitSettings = SETTINGS) -> PodModel:
    descriptor = descriptor_text({}, frames.elements)
    rows = equations(frames, descriptor, frames.elements, REPULSION)
    found = fit(rows, range(len(frames)), settings, np.random.default_rng(0), len(frames.elements))
    model = PodModel(frames.elements, descriptor, found.coefficients, REPULSION)
    model.save(path)
    return model


@pytest.fixture(scope='module')
def silicon(tmp_path_factory):
    path = tmp_path_factory.mktemp('silicon') / 'model.zip'
    frames = rattled(bulk('Si', 'diamond', a=5.43, cubic=True), 40, noise=0.1, strain=0.05)
    fitted(labelled(frames, 'Si_Zuo_JPCA2020'), path)
    return path


@pytest.fixture(scope='module')
def salt(tmp_path_factory):
    path = tmp_path_factory.mktemp('salt') / 'model.zip'
    frames = rattled(bulk('NaCl', 'rocksalt', a=5.6, cubic=True), 30, noise=0.15, strain=0.05)
    fitted(labelled(frames, 'NaCl_EIM'), path)
    return path


@pytest.mark.parametrize('name', ['silicon', 'salt'])
def test_forces_and_stress_are_derivatives_of_the_energy(name, request):
    evaluator = PodEvaluator(request.getfixturevalue(name))
    prototype = bulk('Si', 'diamond', a=5.4) if name == 'silicon' else bulk('NaCl', 'rocksalt', a=5.6)
    # Of a left-handed cell, with atoms outside of it, and near enough for the repulsion to act.
    atoms = prototype.repeat((1, 1, 2))
    atoms.set_cell(atoms.cell.array[[1, 0, 2]] * 0.93, scale_atoms=True)
    atoms.positions += np.random.default_rng(1).normal(0, 0.2, atoms.positions.shape)
    atoms.positions[0] += 2 * atoms.cell.array[0]
    step = 1e-4
    found = evaluator.evaluate(Frames.from_atoms([atoms]))
    moved = []
    for index in np.ndindex(len(atoms), 3):
        for sign in (1, -1):
            other = atoms.copy()
            other.positions[index] += sign * step
            moved.append(other)
    energy = evaluator.evaluate(Frames.from_atoms(moved)).energy.reshape(-1, 2)
    by_difference = -(energy[:, 0] - energy[:, 1]) / (2 * step)
    assert np.allclose(found.forces.ravel(), by_difference, atol=1e-4)
    strained = []
    for index in np.ndindex(3, 3):
        for sign in (1, -1):
            other, strain = atoms.copy(), np.zeros((3, 3))
            strain[index] = sign * step
            other.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
            strained.append(other)
    energy = evaluator.evaluate(Frames.from_atoms(strained)).energy.reshape(3, 3, 2)
    by_difference = (energy[..., 0] - energy[..., 1]) / (2 * step) / atoms.get_volume()
    assert np.allclose(found.stress[0], by_difference, atol=1e-5)


def test_energy_does_not_change_with_the_description(salt):
    evaluator = PodEvaluator(salt)
    atoms = bulk('NaCl', 'rocksalt', a=5.5, cubic=True)
    atoms.rattle(0.1, seed=2)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    sheared = atoms.copy()
    sheared.set_cell([[1, 0, 0], [3, 1, 0], [-2, 5, 1]] @ atoms.cell.array)
    permuted = atoms[np.random.default_rng(0).permutation(len(atoms))]
    doubled = atoms.repeat((1, 2, 1))
    frames = Frames.from_atoms([atoms, turned, sheared, permuted, doubled])
    found = evaluator.evaluate(frames)
    assert np.allclose(found.energy / frames.n_atoms, found.energy[0] / len(atoms), atol=1e-9)
    norms = np.linalg.norm(found.forces, axis=1)
    assert np.allclose(norms[8:16], norms[:8])
    alone = [evaluator.evaluate(frames[index]).energy[0] for index in range(len(frames))]
    assert np.allclose(alone, found.energy, atol=1e-9)


def test_subsystems_keep_their_elements(salt):
    evaluator = PodEvaluator(salt)
    pure = [bulk(symbol, 'fcc', a=6.0) for symbol in ('Na', 'Cl')]
    together = evaluator.evaluate(Frames.from_atoms([*pure, *pure[::-1]])).energy
    assert together[0] != pytest.approx(together[1], abs=1e-3)
    assert np.allclose(together, together[[3, 2, 1, 0]])


def test_equal_models_have_no_spread(silicon):
    specification = {'backend': Backend.POD.value, 'file': silicon.name, 'type_map': ['Si']}
    ensemble = load_ensemble([specification, specification], silicon.parent)
    frames = rattled(bulk('Si', 'diamond', a=5.43), 3, noise=0.1, strain=0.02)
    evaluated = ensemble.evaluate(frames)
    assert np.all(evaluated.energy_spread == 0)
    assert np.all(evaluated.forces_spread == 0)


def test_fit_reproduces_energies_and_the_equation_of_state(silicon):
    evaluator = PodEvaluator(silicon)
    prototype = bulk('Si', 'diamond', a=5.43, cubic=True)
    unseen = labelled(rattled(prototype, 20, noise=0.1, strain=0.05, seed=7), 'Si_Zuo_JPCA2020')
    errors = model_errors(unseen, evaluator.evaluate(unseen))
    assert errors['energy'] < 0.005
    assert errors['forces'] < 0.1
    lengths = np.linspace(5.3, 5.6, 31)
    curve = Frames.from_atoms([bulk('Si', 'diamond', a=length) for length in lengths])
    reference = labelled(curve, 'Si_Zuo_JPCA2020')
    minima = [lengths[np.argmin(energy)] for energy in (reference.energy, evaluator.evaluate(curve).energy)]
    assert minima[1] == pytest.approx(minima[0], abs=0.025)


def test_atoms_repel_where_there_are_no_data(silicon):
    evaluator = PodEvaluator(silicon)
    distances = np.linspace(0.75, 1.75, 11)
    pairs = [Atoms('Si2', positions=[[0, 0, 0], [d, 0, 0]], cell=[12] * 3, pbc=True) for d in distances]
    energy = evaluator.evaluate(Frames.from_atoms(pairs)).energy
    assert np.all(np.diff(energy) < 0)


def test_members_that_see_other_frames_disagree_and_few_frames_do_not_blow_up(tmp_path):
    frames = rattled(bulk('NaCl', 'rocksalt', a=5.6), 6, noise=0.2, strain=0.05)
    frames = labelled(frames, 'NaCl_EIM')
    descriptor = descriptor_text({}, frames.elements)
    rows = equations(frames, descriptor, frames.elements, REPULSION)
    n_equations = sum(1 + len(row.known_forces) + 6 for row in rows)
    assert n_equations < len(rows[0].energy)
    members = []
    for seed in range(2):
        found = fit(rows, range(6), FitSettings(**{**vars(SETTINGS), 'share': 0.7}), np.random.default_rng(seed), 2)
        assert len(found.used) == 4
        path = tmp_path / f'{seed}.zip'
        PodModel(frames.elements, descriptor, found.coefficients, REPULSION).save(path)
        members.append(PodEvaluator(path))
    unseen = labelled(rattled(bulk('NaCl', 'rocksalt', a=5.6), 10, noise=0.2, strain=0.05, seed=3), 'NaCl_EIM')
    evaluated = Ensemble(members).evaluate(unseen)
    assert np.all(evaluated.energy_spread > 0)
    spread = np.std(unseen.energy_per_atom)
    assert np.sqrt(np.mean((evaluated.energy_per_atom - unseen.energy_per_atom) ** 2)) < spread


def test_the_mean_of_models_with_one_descriptor_is_another_model(silicon):
    model = PodModel.load(silicon)
    others = [replace(model, coefficients=model.coefficients * factor) for factor in (0.9, 1.3)]
    members = [PodEvaluator(it) for it in (model, *others)]
    frames = rattled(bulk('Si', 'diamond', a=5.43), 4, noise=0.1, strain=0.05)
    ensemble = Ensemble(members, mean_of(members))
    expected, found = ensemble.evaluate(frames), ensemble.evaluate_mean(frames, np.zeros(4, dtype=bool))
    for name in ('energy', 'forces', 'stress'):
        assert found.known(name) == pytest.approx(expected.known(name), rel=1e-9, abs=1e-9)
    other_repulsion = PodEvaluator(replace(model, repulsion=Repulsion(0.5, 0.7)))
    assert mean_of([members[0], other_repulsion]) is None
    assert mean_of([members[0], AseEvaluator(LennardJones)]) is None
    assert mean_of(members[:1]) is None


def test_an_ensemble_that_is_loaded_knows_the_mean_of_linear_members(silicon):
    model = {'backend': Backend.POD, 'file': silicon.name, 'type_map': ['Si']}
    other = {'backend': Backend.ASE, 'calculator': 'ase.calculators.emt:EMT'}
    assert load_ensemble([model, model], silicon.parent).mean is not None
    assert load_ensemble([model, other], silicon.parent).mean is None


def test_labels_without_stress_are_enough(tmp_path):
    frames = rattled(bulk('Si', 'diamond', a=5.43), 20, noise=0.1, strain=0.05)
    frames = labelled(frames, 'Si_Zuo_JPCA2020').without('stress')
    fitted(frames, tmp_path / 'model.zip')
    errors = model_errors(frames, PodEvaluator(tmp_path / 'model.zip').evaluate(frames))
    assert errors['energy'] < 0.01


def test_frames_of_other_compositions_take_no_weight_from_the_rest():
    """Total energies of different elements differ by hundreds of eV, which says nothing about who is low.

    Forces of two compositions ask for different coefficients: where both count alike, these are the mean.
    """
    rng = np.random.default_rng(2)
    rows = []
    for share, slope in ((0.5, 0.3), (0.25, 0.9)) * 20:
        energy, forces, virial = np.array([share, 0.0, 1 - share, 0.0]), np.zeros((6, 4)), np.zeros((6, 4))
        forces[:, 1] = rng.normal(size=6)
        known = -5.0 * share - 500.0 * (1 - share)
        rows.append(FrameEquations(energy, forces, virial, known, slope * forces[:, 1], np.full(6, np.nan)))
    settings = replace(SETTINGS, energy_scale=0.5, regularisation=[1e-6])
    found = fit(rows, range(len(rows)), settings, np.random.default_rng(0), 2)
    assert found.coefficients[1] == pytest.approx(0.6, abs=0.1)


def test_saved_models_are_equal_if_their_contents_are(silicon, tmp_path):
    model = PodModel.load(silicon)
    model.save(tmp_path / 'again.zip')
    assert (tmp_path / 'again.zip').read_bytes() == silicon.read_bytes()


def test_what_does_not_fit_is_told(silicon, tmp_path):
    with pytest.raises(FileNotFoundError, match='no model file'):
        PodEvaluator(tmp_path / 'none.zip')
    (tmp_path / 'bad.zip').write_text('nothing')
    with pytest.raises(ValueError, match='no model of ML-POD'):
        PodEvaluator(tmp_path / 'bad.zip')
    with pytest.raises(ValueError, match='type map'):
        PodEvaluator(silicon, type_map=['Ge'])
    found = PodEvaluator(silicon).evaluate(Frames.from_atoms([bulk('Si'), bulk('NaCl', 'rocksalt', a=5.6)]))
    assert np.isfinite(found.energy[0])
    assert 'Na' in found.errors[1]


def test_lammps_runs_the_extracted_files(silicon, tmp_path):
    from aiida_prospect.methods.lammps_potentials import load_lammps

    PodModel.load(silicon).extract(tmp_path)
    lammps = load_lammps()
    lammps.commands_list(
        [
            'units metal',
            f'shell cd {tmp_path}',
            'lattice diamond 5.43',
            'region box block 0 1 0 1 0 1',
            'create_box 1 box',
            'create_atoms 1 box',
            'mass 1 28.0855',
            'include potential.lmp',
            'run 0',
        ]
    )
    atoms = bulk('Si', 'diamond', a=5.43, cubic=True)
    energy = PodEvaluator(silicon).evaluate(Frames.from_atoms([atoms])).energy[0]
    assert lammps.get_thermo('pe') == pytest.approx(energy, abs=1e-8)
