"""Tests of ensembles, of calculators of ASE and of finding them."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ase import CALCULATORS_KEPT, AseEvaluator
from aiida_prospect.methods.evaluators.base import Grouping, Unconverged
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import find_calculator, load_ensemble


class Moody(Calculator):
    """Fails for cells above 100 Å³, knows no stress and counts how many of it there are."""

    implemented_properties = ('energy', 'forces')
    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        self.failed = False

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert not self.failed
        self.failed = atoms.get_volume() > 100
        if self.failed:
            raise RuntimeError('too large')
        self.results = {'energy': len(atoms), 'forces': np.zeros((len(atoms), 3))}


def lennard_jones(epsilon):
    return AseEvaluator(lambda: LennardJones(sigma=2.2, epsilon=epsilon, rc=5.0, smooth=True))


def test_groups_hold_equal_compositions(generate_frames):
    frames = Frames.concatenate([generate_frames(formula, 1) for formula in ('NaCl2', 'Si2', 'Cl2Na', 'Si4')])
    groups = Grouping()(frames)
    assert [group.frames.tolist() for group in groups] == [[0, 2], [1], [3]]
    for group in groups:
        for atoms in group.atoms:
            assert np.array_equal(frames.numbers[atoms], group.numbers)


def test_ensemble_is_the_mean_and_its_spread_the_deviation(generate_frames):
    frames = generate_frames('Si4', 3)
    members = [lennard_jones(epsilon) for epsilon in (0.4, 0.5, 0.9)]
    evaluated = Ensemble(members).evaluate(frames)
    each = [member.evaluate(frames) for member in members]
    assert evaluated.energy == pytest.approx(np.mean([e.energy for e in each], axis=0))
    assert evaluated.stress == pytest.approx(np.mean([e.stress for e in each], axis=0))
    assert evaluated.energy_spread == pytest.approx(np.std([e.energy for e in each], axis=0))
    deviation = np.linalg.norm([e.forces - evaluated.forces for e in each], axis=2)
    assert evaluated.forces_spread == pytest.approx(np.sqrt(np.mean(deviation**2, axis=0)))


def test_equal_members_have_no_spread_and_one_has_none_to_tell(generate_frames):
    frames = generate_frames('Si4', 3)
    evaluated = Ensemble([lennard_jones(0.5) for _ in range(5)]).evaluate(frames)
    assert not evaluated.energy_spread.any()
    assert not evaluated.forces_spread.any()
    alone = Ensemble([lennard_jones(0.5)]).evaluate(frames)
    assert alone.energy_spread is None
    assert np.array_equal(alone.energy, evaluated.energy)
    with pytest.raises(ValueError, match='at least one'):
        Ensemble([])


def test_the_mean_alone_gives_all_but_spreads(generate_frames):
    """The mean of Lennard-Jones crystals that differ in ε is another one."""
    frames = Frames.concatenate([generate_frames('Si4', 2), generate_frames('Si2', 3)])
    members = [lennard_jones(epsilon) for epsilon in (0.4, 0.6)]
    ensemble, apart = Ensemble(members, lennard_jones(0.5)), np.array([False, True, False, True, False])
    expected = ensemble.evaluate(frames)
    found = ensemble.evaluate_mean(frames, apart)
    for name in ('energy', 'forces', 'stress'):
        assert found.known(name) == pytest.approx(expected.known(name))
    assert found.select(apart).equals(expected.select(apart))
    assert np.isnan(found.energy_spread[~apart]).all()
    assert np.isnan(found.forces_spread[~apart[found.frame_of_atom]]).all()
    assert np.isnan(ensemble.evaluate_mean(frames, np.zeros(5, dtype=bool)).energy_spread).all()
    assert Ensemble(members).evaluate_mean(frames, apart).equals(expected)
    assert ensemble.evaluate_mean(frames, np.ones(5, dtype=bool)).equals(expected)


def test_frame_that_one_member_cannot_do_fails_with_its_words():
    Moody.made = 0
    small, large = bulk('Si'), bulk('Si', cubic=True)
    frames = Frames.from_atoms([small, large, large, small])
    evaluated = Ensemble([lennard_jones(0.5), AseEvaluator(Moody)]).evaluate(frames)
    assert evaluated.known('status').tolist() == ['ok', 'failed', 'failed', 'ok']
    assert evaluated.known('reason')[1] == 'potential 1: RuntimeError: too large'
    assert np.isnan(evaluated.energy).tolist() == [False, True, True, False]
    assert np.isnan(evaluated.stress).all()
    # One for the small ones, a new one for each failure.
    assert Moody.made == 3


def test_frame_is_unconverged_if_no_member_says_anything_worse():
    def unconverged():
        calculator = Moody()
        calculator.calculate = refuse
        return calculator

    def refuse(*_, **__):
        raise Unconverged('100 iterations')

    small, large = bulk('Si'), bulk('Si', cubic=True)
    evaluated = Ensemble([AseEvaluator(unconverged)]).evaluate(Frames.from_atoms([small]))
    assert (evaluated.known('status').tolist(), evaluated.known('reason').tolist()) == (
        ['unconverged'],
        ['100 iterations'],
    )
    evaluated = Ensemble([AseEvaluator(unconverged), AseEvaluator(Moody)]).evaluate(Frames.from_atoms([small, large]))
    assert evaluated.known('status').tolist() == ['unconverged', 'failed']
    assert np.isnan(evaluated.energy).all()


def test_calculators_are_used_again():
    Moody.made = 0
    structures = [bulk('Al').repeat((n, 1, 1)) for n in (1, 2, 3)] * 2
    evaluator = AseEvaluator(Moody)
    evaluator.evaluate(Frames.from_atoms(structures))
    assert Moody.made == 3
    many = Frames.from_atoms([bulk('Al').repeat((n, 1, 1)) for n in (1, 2, 3, 4, 5)])
    evaluator.evaluate(many)
    assert Moody.made == 5


def test_calculators_that_were_not_used_for_long_are_made_again():
    Moody.made = 0
    crystals = [Atoms([number], cell=[4, 4, 4], pbc=True) for number in range(1, CALCULATORS_KEPT + 2)]
    evaluator = AseEvaluator(Moody)
    evaluator.evaluate(Frames.from_atoms(crystals))
    assert Moody.made == CALCULATORS_KEPT + 1
    evaluator.evaluate(Frames.from_atoms(crystals[1:]))
    assert Moody.made == CALCULATORS_KEPT + 1
    evaluator.evaluate(Frames.from_atoms(crystals[:1]))
    assert Moody.made == CALCULATORS_KEPT + 2


@pytest.mark.parametrize('name', ['ase.calculators.emt:EMT', 'ase.calculators.emt.EMT', 'lammps'])
def test_calculators_are_found(name):
    assert callable(find_calculator(name))


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('emt', 'give one of lammps'),
        ('ase.calculators.emt:ETM', 'cannot be loaded'),
        ('no.such.module:thing', 'cannot be loaded'),
        ('ase.calculators.emt:parameters', 'not something that makes a calculator'),
    ],
)
def test_calculators_that_are_none_are_explained(name, words):
    with pytest.raises(ValueError, match=words):
        find_calculator(name)


def test_description_becomes_an_ensemble():
    specification = {'backend': 'ase', 'calculator': 'ase.calculators.emt:EMT', 'arguments': None}
    ensemble = load_ensemble([specification] * 2, None)
    assert len(ensemble) == 2
    evaluated = ensemble.evaluate(Frames.from_atoms([bulk('Cu')]))
    assert evaluated.known('status').tolist() == ['ok']
    with pytest.raises(ValueError, match='unheard_of'):
        load_ensemble([{'backend': 'unheard_of'}], None)
