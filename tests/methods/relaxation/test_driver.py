"""Tests of batched relaxations against ASE's and against laws."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.filters import UnitCellFilter
from ase.optimize import FIRE

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.lammps_potentials import calculator as lammps
from aiida_prospect.methods.relaxation.driver import CheckpointError, Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings, Sanity, TrajectorySettings, Uncertainty

PATIENT = RelaxSettings(patience=1000, batch_atoms=40)


def relax(frames, ensemble, **settings):
    return Relaxation(frames, ensemble, RelaxSettings(**{'patience': 1000, 'batch_atoms': 40, **settings})).run()


def relax_with_ase(atoms, calculator, *, pressure=0.0, steps=300):
    atoms = atoms.copy()
    atoms.calc = calculator
    optimizer = FIRE(UnitCellFilter(atoms, scalar_pressure=pressure), logfile=None)
    optimizer.run(fmax=0.05, steps=steps)
    return atoms, optimizer.nsteps


@pytest.mark.parametrize('pressure', [0.0, 0.05])
def test_same_path_as_ase(aluminium, emt, pressure):
    """Step by step the algorithm is ASE's: equal geometries after equal numbers of steps."""
    frames = aluminium(8)
    relaxed = relax(frames, emt, pressure=pressure, optimizer='fire')
    for index, atoms in enumerate(frames.to_atoms()):
        expected, steps = relax_with_ase(atoms, EMT(), pressure=pressure)
        found = relaxed.select([index])
        assert found.known('steps')[0] == steps
        assert found.positions == pytest.approx(expected.positions, abs=1e-7)
        assert found.cells[0] == pytest.approx(expected.cell.array, abs=1e-7)
        assert found.known('energy')[0] == pytest.approx(expected.get_potential_energy(), abs=1e-9)
        assert found.known('stress')[0] == pytest.approx(expected.get_stress(voigt=False), abs=1e-9)


def test_same_minima_as_ase_on_fifty_crystals(generate_frames, stillinger_weber):
    frames = generate_frames('Si8', 50, seed=1)
    relaxed = relax(frames, stillinger_weber, batch_atoms=200, optimizer='fire')
    assert np.mean(relaxed.known('status') == 'converged') > 0.9
    calculator = lammps('Si_Stillinger_Weber')
    for index, atoms in enumerate(frames.to_atoms()):
        expected, steps = relax_with_ase(atoms, calculator)
        converged = steps < 300
        assert (relaxed.known('status')[index] == 'converged') == converged
        if converged:
            energy = expected.get_potential_energy() / len(atoms)
            assert relaxed.energy_per_atom[index] == pytest.approx(energy, abs=1e-3)


def test_what_comes_back_belongs_together(aluminium, emt):
    frames = aluminium(6).replace(source=[5, 4, 3, 2, 1, 0])
    relaxed = relax(frames, emt)
    assert np.array_equal(relaxed.numbers, frames.numbers)
    assert relaxed.known('origin').tolist() == frames.known('origin').tolist()
    assert relaxed.known('source').tolist() == [5, 4, 3, 2, 1, 0]
    again = emt.evaluate(relaxed)
    assert relaxed.known('energy') == pytest.approx(again.known('energy'), abs=1e-10)
    assert relaxed.known('forces') == pytest.approx(again.known('forces'), abs=1e-10)
    assert relaxed.known('energy_initial') == pytest.approx(emt.evaluate(frames).known('energy'), abs=1e-10)
    assert np.all(relaxed.known('energy') <= relaxed.known('energy_initial'))
    # What is below 0.05 eV/Å are the forces on positions in the undeformed cell.
    assert relaxed.max_force.max() < 0.075


def test_result_does_not_depend_on_batch_or_order(generate_frames, stillinger_weber):
    frames = Frames.concatenate([generate_frames('Si8', 3), generate_frames('Si3', 4), generate_frames('Si5', 3)])
    order = np.random.default_rng(0).permutation(10)
    one_by_one = relax(frames, stillinger_weber, batch_atoms=1)
    assert one_by_one.equals(relax(frames, stillinger_weber, batch_atoms=1000))
    assert one_by_one.select(order).equals(relax(frames.select(order), stillinger_weber))


def test_result_does_not_depend_on_the_orientation(aluminium, emt):
    frames = aluminium(5)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    rotated = frames.replace(positions=frames.positions @ rotation, cells=frames.cells @ rotation)
    plain, turned = (relax(f, emt, max_steps=8, fmax=1e-9) for f in (frames, rotated))
    assert turned.known('energy') == pytest.approx(plain.known('energy'), abs=1e-8)
    assert turned.positions == pytest.approx(plain.positions @ rotation, abs=1e-6)


@pytest.mark.parametrize('optimizer', ['fire', 'lbfgs'])
def test_a_left_handed_cell_is_relaxed_as_a_right_handed_one(aluminium, emt, optimizer):
    frames = aluminium(5)
    mirrored = frames.replace(cells=frames.cells[:, [1, 0, 2]])
    plain, other = (relax(f, emt, max_steps=8, fmax=1e-9, optimizer=optimizer) for f in (frames, mirrored))
    assert np.all(np.linalg.det(plain.cells) * np.linalg.det(other.cells) < 0)
    assert other.known('energy') == pytest.approx(plain.known('energy'), abs=1e-8)
    assert other.positions == pytest.approx(plain.positions, abs=1e-6)


def test_under_pressure_the_frame_of_lowest_enthalpy_is_kept(aluminium, emt):
    """From the minimum without pressure the energy only rises."""
    free = relax(aluminium(4, seed=3), emt, fmax=0.01)
    short = relax(free, emt, fmax=1e-9, pressure=0.1, max_steps=5)
    assert np.all(short.known('energy') > free.known('energy'))
    assert np.all(short.known('energy') + 0.1 * short.volumes < free.known('energy') + 0.1 * free.volumes)


def test_pressure_compresses_and_is_balanced(aluminium, emt):
    frames = aluminium(4, seed=3)
    free, pressed = relax(frames, emt, fmax=0.01), relax(frames, emt, fmax=0.01, pressure=0.1)
    assert np.all(pressed.volumes < free.volumes)
    assert np.all(pressed.known('energy') + 0.1 * pressed.volumes > free.known('energy'))
    for stress, volume, n_atoms in zip(pressed.known('stress'), pressed.volumes, pressed.n_atoms, strict=True):
        assert stress == pytest.approx(-0.1 * np.eye(3), abs=2 * 0.01 * n_atoms / volume)


def test_equal_potentials_never_disagree(aluminium, lennard_jones):
    frames = aluminium(4)
    relaxed = relax(frames, lennard_jones((2.4, 0.3), (2.4, 0.3), (2.4, 0.3)), uncertainty=Uncertainty(1e-9, 0.0))
    assert not np.any(relaxed.known('energy_spread'))
    assert not np.any(relaxed.known('forces_spread'))
    assert 'uncertain' not in relaxed.known('status')


def test_disagreement_ends_a_relaxation_unless_allowed(aluminium, lennard_jones):
    frames, ensemble = aluminium(4), lennard_jones((2.3, 0.3), (2.6, 0.4))
    strict = relax(frames, ensemble, uncertainty=Uncertainty(ratio=0.1, floor=0.0))
    assert set(strict.known('status')) == {'uncertain'}
    assert 'disagree' in strict.known('reason')[0]
    generous = relax(frames, ensemble, uncertainty=None, max_steps=400)
    assert np.sum(generous.known('status') == 'converged') >= 3
    assert np.all(generous.known('energy_spread') > 0)
    floored = relax(frames, ensemble, uncertainty=Uncertainty(ratio=0.0, floor=1e3), max_steps=400)
    assert floored.equals(generous)


class Counting:
    """A potential that counts the frames it is asked for."""

    def __init__(self, potential):
        self.potential, self.count = potential, 0

    def evaluate(self, frames):
        self.count += len(frames)
        return self.potential.evaluate(frames)


def with_mean(lennard_jones, *epsilons):
    """Return an ensemble of Lennard-Jones crystals that differ in ε, with their mean, which is another one."""
    *members, mean = lennard_jones(*((2.4, epsilon) for epsilon in (*epsilons, np.mean(epsilons)))).members
    return Ensemble([Counting(member) for member in members], Counting(mean))


def test_where_the_mean_is_a_potential_members_are_asked_now_and_then(aluminium, lennard_jones):
    frames = aluminium(12)
    ensemble = with_mean(lennard_jones, 0.3, 0.35)
    apart = relax(frames, Ensemble(ensemble.members), uncertainty=None, max_steps=100)
    for member in ensemble.members:
        member.count = 0
    relaxation = Relaxation(frames, ensemble, replace(PATIENT, uncertainty=None, max_steps=100))
    together = relaxation.run()
    assert together.known('status').tolist() == apart.known('status').tolist()
    assert together.known('steps').tolist() == apart.known('steps').tolist()
    converged = together.known('status') == 'converged'
    assert converged.sum() >= 3
    for name in ('energy', 'energy_spread', 'cells'):
        assert together.known(name)[converged] == pytest.approx(apart.known(name)[converged], abs=1e-6)
    assert np.isfinite(together.known('energy_spread')).all()
    assert np.isfinite(together.known('forces_spread')).all()
    asked = [member.count for member in (*ensemble.members, ensemble.mean)]
    assert asked[0] == asked[1]
    # A fifth of the steps, and where a relaxation may end.
    assert 0.2 <= asked[0] / relaxation.counters['evaluations'] < 0.35
    assert 0.7 <= asked[2] / relaxation.counters['evaluations'] < 1


def test_with_a_mean_too_disagreement_ends_a_relaxation_and_the_path_is_kept(aluminium, lennard_jones):
    limits = {'uncertainty': Uncertainty(ratio=0.4, floor=0.3), 'trajectory': TrajectorySettings(every=3)}
    relaxation = Relaxation(aluminium(12), with_mean(lennard_jones, 0.1, 0.4), replace(PATIENT, **limits))
    relaxed = relaxation.run()
    assert 'uncertain' in relaxed.known('status')
    assert np.isfinite(relaxed.known('energy_spread')).all()
    assert np.isfinite(relaxation.trajectories().known('forces_spread')).all()


def test_structure_that_is_given_up_comes_back_as_the_best_frame(aluminium, emt):
    frames = aluminium(6)
    short = relax(frames, emt, max_steps=3)
    assert set(short.known('status')) == {'max_steps'}
    assert set(short.known('steps')) == {3}
    impatient = relax(frames, emt, patience=2, fmax=1e-9, max_steps=500)
    assert 'no_progress' in impatient.known('status')
    for relaxed in (short, impatient):
        assert np.all(relaxed.known('energy') <= relaxed.known('energy_initial'))
        assert relaxed.known('energy') == pytest.approx(emt.evaluate(relaxed).known('energy'), abs=1e-10)


def test_what_is_no_crystal_is_called_unphysical(aluminium, emt):
    touching = Atoms('Al2', positions=[[0, 0, 0], [0, 0, 0.5]], cell=[4, 4, 4], pbc=True)
    flat = Atoms('Al', cell=[[20, 0, 0], [0, 20, 0], [0, 0, 0.5]], pbc=True)
    foreign = Atoms('Xe2', positions=[[0, 0, 0], [3, 3, 3]], cell=[6, 6, 6], pbc=True)
    frames = Frames.concatenate([aluminium(2), Frames.from_atoms([touching, flat, foreign]), aluminium(1, seed=4)])
    relaxed = relax(frames, emt)
    assert relaxed.known('status').tolist() == ['converged'] * 2 + ['unphysical'] * 3 + ['converged']
    reasons = relaxed.known('reason')
    assert 'covalent radii' in reasons[2]
    assert 'flat' in reasons[3]
    assert 'NotImplementedError' in reasons[4]
    assert np.isnan(relaxed.known('energy')[2:5]).all()
    assert np.array_equal(relaxed.select([2, 3, 4]).positions, frames.select([2, 3, 4]).positions)


def test_collapse_and_explosion_are_noticed_on_the_way(aluminium, lennard_jones):
    frames = aluminium(2, sizes=(4,))
    collapsing = relax(frames, lennard_jones((1.2, 5.0)), max_steps=3000, sanity=Sanity(distance=0.1, compression=0.5))
    assert set(collapsing.known('status')) == {'unphysical'}
    assert 'volume' in collapsing.known('reason')[0]
    exploding = relax(frames, lennard_jones((4.5, 1.0)), max_steps=3000, sanity=Sanity(distance=0.1, expansion=1.5))
    assert set(exploding.known('status')) == {'unphysical'}


def test_hole_in_the_potential_is_noticed(aluminium, emt):
    frames = aluminium(4)
    free = relax(frames, emt)
    limit = float(np.sort(free.energy_per_atom)[2]) - 1e-3
    limited = relax(frames, emt, sanity=Sanity(lowest_energy=limit))
    low = free.energy_per_atom < limit
    assert set(limited.known('status')[low]) == {'unphysical'}
    assert 'energy fell' in limited.known('reason')[low][0]
    assert np.all(limited.energy_per_atom >= limit)
    assert limited.select(~low).equals(free.select(~low))


def test_batch_is_full_as_long_as_anything_waits(generate_frames, stillinger_weber):
    frames = generate_frames('Si4', 24)
    relaxation = Relaxation(frames, stillinger_weber, RelaxSettings(batch_atoms=24, max_steps=30))
    sizes = []
    evaluate = stillinger_weber.evaluate

    def counted(batch):
        sizes.append((len(batch), relaxation.progress()['queued']))
        return evaluate(batch)

    stillinger_weber.evaluate = counted
    relaxation.run()
    assert all(size == 6 for size, waiting in sizes if waiting)
    assert relaxation.counters['idle_atoms'] == 0
    assert relaxation.counters['evaluations'] == sum(size for size, _ in sizes)


@pytest.mark.parametrize('interrupted_after', [1, 17, 90])
def test_continued_relaxation_is_the_same_to_the_last_bit(generate_frames, two_opinions, tmp_path, interrupted_after):
    frames, ensemble = generate_frames('Si4', 10), two_opinions
    settings = RelaxSettings(batch_atoms=16, max_steps=60, uncertainty=None, trajectory=TrajectorySettings(every=5))
    whole = Relaxation(frames, ensemble, settings)
    first = Relaxation(frames, ensemble, settings)
    for _ in range(interrupted_after):
        first.advance()
    first.save(tmp_path / 'checkpoint.npz')
    partial = first.results.frames()
    assert (set(partial.known('status')) > {'unfinished'}) == (interrupted_after == 90)
    second = Relaxation(frames, ensemble, settings)
    second.restore(tmp_path / 'checkpoint.npz')
    assert second.run().equals(whole.run())
    assert second.trajectories().equals(whole.trajectories())
    assert second.counters['evaluations'] == whole.counters['evaluations']


def test_checkpoint_of_something_else_is_refused(aluminium, emt, tmp_path):
    relaxation = Relaxation(aluminium(2), emt, PATIENT)
    relaxation.save(tmp_path / 'checkpoint.npz')
    for frames, settings in ((aluminium(2, seed=1), PATIENT), (aluminium(2), RelaxSettings(fmax=0.01))):
        with pytest.raises(CheckpointError, match='other'):
            Relaxation(frames, emt, settings).restore(tmp_path / 'checkpoint.npz')

    Relaxation(aluminium(2), emt, replace(PATIENT, batch_atoms=1, spread_every=1)).restore(tmp_path / 'checkpoint.npz')


def test_trajectories_are_thinned_and_end_where_the_relaxation_does(aluminium, emt):
    frames = aluminium(4)
    relaxation = Relaxation(frames, emt, RelaxSettings(patience=1000, trajectory=TrajectorySettings(every=7)))
    relaxed = relaxation.run()
    trajectories = relaxation.trajectories()
    for index in range(4):
        path = trajectories.select(trajectories.known('source') == index)
        steps = path.known('steps')
        assert steps[0] == 0
        assert np.all(np.diff(steps)[:-1] == 7)
        assert steps[-1] == relaxed.known('steps')[index]
        assert path.known('energy')[-1] == relaxed.known('energy')[index]
        assert set(path.known('origin')) == {frames.known('origin')[index]}
    none = Relaxation(frames, emt, RelaxSettings(trajectory=TrajectorySettings(statuses=('uncertain',))))
    none.run()
    assert len(none.trajectories()) == 0


def test_nothing_to_relax(emt):
    assert len(relax(Frames.empty(), emt)) == 0


def test_evaluations_that_fail_are_counted_also_after_a_restart(aluminium, silicon_frames, emt, tmp_path):
    """The potential knows no silicon."""
    frames = Frames.concatenate([aluminium(2), silicon_frames(3, n_atoms=2)])
    relaxation = Relaxation(frames, emt, PATIENT)
    relaxation.advance()
    relaxation.save(tmp_path / 'checkpoint.npz')
    again = Relaxation(frames, emt, PATIENT)
    again.restore(tmp_path / 'checkpoint.npz')
    again.run()
    assert again.counters['failed_evaluations'] == 3
    assert again.counters['evaluations'] > 5
