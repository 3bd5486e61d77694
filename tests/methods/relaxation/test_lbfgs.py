"""Tests of L-BFGS on surfaces that are known."""

import itertools

import numpy as np
import pytest

from aiida_prospect.methods.relaxation.lbfgs import STRAIN, Lbfgs, _Pairs
from aiida_prospect.methods.relaxation.settings import LbfgsSettings, RelaxSettings
from aiida_prospect.methods.relaxation.vectors import Vectors

N_ATOMS = np.array([2, 5])
OFFSETS = np.array([0, 2, 7])


class Bowls:
    """Quadratic surfaces of positions and cells, with minima at zero."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.atoms, self.cell = rng.normal(0, 0.3, (7, 3)), rng.normal(0, 0.05, (2, 3, 3))
        self.stiffness = [np.diag(rng.uniform(2, 60, 3 * n + 9)) for n in N_ATOMS]
        turns = [np.linalg.qr(rng.normal(size=(len(k), len(k))))[0] for k in self.stiffness]
        self.stiffness = [q @ k @ q.T for q, k in zip(turns, self.stiffness, strict=True)]

    def forces(self):
        atoms, cell = np.zeros_like(self.atoms), np.zeros_like(self.cell)
        for index, stiffness in enumerate(self.stiffness):
            rows = slice(OFFSETS[index], OFFSETS[index + 1])
            place = np.concatenate([self.atoms[rows].ravel(), self.cell[index].ravel()])
            force = -stiffness @ place
            atoms[rows], cell[index] = force[:-9].reshape(-1, 3), force[-9:].reshape(3, 3)
        return Vectors(atoms, cell)

    def move(self, step):
        self.atoms, self.cell = self.atoms + step.atoms, self.cell + step.cell


def descend(bowls, settings, steps):
    optimiser, lengths = Lbfgs(settings), []
    memory = optimiser.start(N_ATOMS)
    for number in range(steps):
        forces = bowls.forces()
        lengths.append(forces.longest(OFFSETS))
        step, memory = optimiser.step(memory, forces, OFFSETS, np.full(2, number > 0))
        bowls.move(step)
    return np.array(lengths), memory


def test_minimum_of_a_bowl_is_found_in_few_steps():
    lengths, _ = descend(Bowls(), LbfgsSettings(), 45)
    assert np.all(lengths[-1] < 1e-4)


def test_what_is_known_of_the_hessian_is_symmetric_and_explains_the_newest_step():
    """The inverse that BFGS makes is symmetric, positive, and fulfils the secant equation, whatever it began with."""
    bowls, optimiser, owner = Bowls(), Lbfgs(LbfgsSettings()), np.repeat([0, 1], N_ATOMS)
    memory = optimiser.start(N_ATOMS)
    for number in range(6):
        step, memory = optimiser.step(memory, bowls.forces(), OFFSETS, np.full(2, number > 0))
        bowls.move(step)
    scaled = bowls.forces().with_cell_times(np.sqrt(N_ATOMS) / STRAIN)
    pairs = _Pairs.after(memory, scaled, OFFSETS, owner, np.full(2, True))
    rng = np.random.default_rng(1)
    one, other = (Vectors(rng.normal(size=(7, 3)), rng.normal(size=(2, 3, 3))) for _ in range(2))
    step, change, _ = next(iter(pairs))
    of_one, of_other, found = (pairs.direction(v, np.full(2, 7.0), OFFSETS, owner) for v in (one, other, change))
    assert of_one.dot(other, OFFSETS) == pytest.approx(of_other.dot(one, OFFSETS))
    assert np.all(of_one.dot(one, OFFSETS) > 0)
    assert found.atoms == pytest.approx(step.atoms, abs=1e-12)
    assert found.cell == pytest.approx(step.cell, abs=1e-12)


def test_more_memory_needs_fewer_steps():
    def steps(memory):
        lengths, _ = descend(Bowls(1), LbfgsSettings(memory=memory), 120)
        return int(np.argmax(lengths.max(axis=1) < 1e-3))

    assert steps(20) < steps(2)


def test_no_step_is_longer_than_allowed():
    bowls = Bowls()
    bowls.atoms *= 100
    optimiser = Lbfgs(LbfgsSettings(maxstep=0.15))
    step, _ = optimiser.step(optimiser.start(N_ATOMS), bowls.forces(), OFFSETS, np.zeros(2, bool))
    longest = [np.linalg.norm(step.atoms[a:b], axis=1).max() for a, b in itertools.pairwise(OFFSETS)]
    assert max(longest) == pytest.approx(0.15)
    assert np.all(np.array(longest) < 0.15 + 1e-12)


def test_each_structure_goes_as_if_it_were_alone():
    together, _ = descend(Bowls(), LbfgsSettings(), 12)
    disturbed = Bowls()
    disturbed.atoms[2:] *= -3
    apart, _ = descend(disturbed, LbfgsSettings(), 12)
    assert np.array_equal(together[:, 0], apart[:, 0])
    assert not np.array_equal(together[:, 1], apart[:, 1])


def test_steps_without_curvature_teach_nothing():
    """On top of a hill the gradient falls along the step: nothing is remembered of it, and steps stay downhill."""
    hill = Bowls()
    hill.stiffness = [-stiffness for stiffness in hill.stiffness]
    optimiser = Lbfgs(LbfgsSettings())
    memory = optimiser.start(N_ATOMS)
    for number in range(5):
        forces = hill.forces()
        step, memory = optimiser.step(memory, forces, OFFSETS, np.full(2, number > 0))
        assert np.all(step.dot(forces, OFFSETS) > 0)
        assert not memory['inverse'].any()
        hill.move(step)


@pytest.mark.parametrize('wrong', [{'memory': 0}, {'softest': 10.0, 'stiffest': 1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r'expected|at least'):
        RelaxSettings.from_dict({'lbfgs': wrong})
    with pytest.raises(ValueError, match='newton'):
        RelaxSettings.from_dict({'optimizer': 'newton'})
