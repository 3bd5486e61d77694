"""Tests of calculators of ASE as evaluators."""

from threading import Event

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators import ase
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.base import JobEnded

STEP = 1e-3


class Smeared(EMT):
    """Tells, as calculators with smeared electrons do, an energy that is not the one that forces are derivatives of."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results['energy'] += 0.1 * self.atoms.positions[1, 0] ** 2


def test_energy_is_the_one_whose_derivatives_the_forces_are():
    crystal = bulk('Cu', cubic=True)
    crystal.positions[1] += [0.3, 0.1, 0.0]
    family = [crystal.copy() for _ in range(3)]
    for sign, atoms in zip((0, 1, -1), family, strict=True):
        atoms.positions[1, 0] += sign * STEP
    result = AseEvaluator(Smeared).evaluate(Frames.from_atoms(family))
    derivative = (result.energy[1] - result.energy[2]) / (2 * STEP)
    assert -result.forces[1, 0] == pytest.approx(derivative, rel=1e-4)
    assert np.abs(derivative) > 0.1


def test_forces_are_those_of_the_atoms_in_their_order():
    """Frames of one composition are evaluated with their atoms in one order."""
    rng = np.random.default_rng(0)
    one = bulk('Cu', cubic=True)
    one.symbols = ['Cu', 'Al', 'Cu', 'Al']
    one.positions += rng.normal(0, 0.1, (4, 3))
    other = one[[1, 2, 0, 3]]
    result = AseEvaluator(EMT).evaluate(Frames.from_atoms([one, other]))
    expected = [EMT().get_forces(atoms) for atoms in (one, other)]
    assert result.forces == pytest.approx(np.concatenate(expected), abs=1e-10)


def test_a_failure_while_the_job_is_ended_is_no_verdict_on_the_frame(monkeypatch):
    """What a program ends with that was told to end, by way of `mpirun` for example, says nothing."""
    frames = Frames.from_atoms([bulk('Cu'), bulk('Si')])
    evaluator = AseEvaluator(EMT)
    assert list(evaluator.evaluate(frames).errors) == [1]
    monkeypatch.setattr(ase, 'JOB_IS_ENDING', Event())
    ase.JOB_IS_ENDING.set()
    assert not evaluator.evaluate(frames[0]).errors
    with pytest.raises(JobEnded, match='Si'):
        evaluator.evaluate(frames)
