"""Evaluation by any calculator of ASE."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.base import (
    JOB_IS_ENDING,
    Evaluation,
    Group,
    Grouping,
    JobEnded,
    Unconverged,
)

# What calculators raise for a structure that they cannot deal with; programming errors pass through.
CALCULATOR_ERRORS = (ArithmeticError, LookupError, OSError, RuntimeError, ValueError)
CALCULATORS_KEPT = 64


class AseEvaluator:
    """A calculator of ASE, one live instance per composition.

    :param factory: makes a new calculator; the calculator must raise one of ``CALCULATOR_ERRORS`` where it fails.
        It is called at once, so that what is wrong with its arguments is not taken for a failure of every frame.
    """

    def __init__(self, factory: Callable[[], Calculator]) -> None:
        self._factory = factory
        self._grouping = Grouping()
        self._calculators: OrderedDict[bytes, Calculator] = OrderedDict()
        self._unused: Calculator | None = factory()

    def evaluate(self, frames: Frames) -> Evaluation:
        """Evaluate frames one after the other, those of a composition in a row.

        :raises JobEnded: if a calculator fails after the job was told to end.
        """
        result = Evaluation.unknown(frames)
        for group in self._grouping(frames):
            for row, index in enumerate(group.frames.tolist()):
                try:
                    self._evaluate_frame(frames, group, row, result)
                except Unconverged as exception:
                    result.errors[index] = str(exception)
                    result.unconverged.add(index)
                except CALCULATOR_ERRORS as exception:
                    if JOB_IS_ENDING.is_set():
                        raise JobEnded(f'while the job was being ended: {exception}') from exception
                    # After a failure nothing is known about the state of foreign code.
                    self._calculators.pop(group.numbers.tobytes(), None)
                    result.errors[index] = f'{type(exception).__name__}: {exception}'
        return result

    def _calculator(self, group: Group) -> Calculator:
        key = group.numbers.tobytes()
        if key not in self._calculators:
            self._calculators[key] = self._unused or self._factory()
            self._unused = None
        self._calculators.move_to_end(key)
        if len(self._calculators) > CALCULATORS_KEPT:
            self._calculators.popitem(last=False)
        return self._calculators[key]

    def _evaluate_frame(self, frames: Frames, group: Group, row: int, result: Evaluation) -> None:
        index, owned = group.frames[row], group.atoms[row]
        atoms = Atoms(numbers=group.numbers, positions=frames.positions[owned], cell=frames.cells[index], pbc=True)
        calculator = self._calculator(group)
        energy = calculator.get_property('energy', atoms)
        # With smeared electrons the energy of ASE is extrapolated; forces and stress belong to the free one.
        energy = getattr(calculator, 'results', {}).get('free_energy', energy)
        forces = np.array(calculator.get_property('forces', atoms))
        try:
            stress = voigt_6_to_full_3x3_stress(calculator.get_property('stress', atoms))
        except PropertyNotImplementedError:
            stress = np.full((3, 3), np.nan)
        if not (np.isfinite(energy) and np.all(np.isfinite(forces))):
            raise ArithmeticError('the energy or the forces are not finite')
        result.energy[index], result.forces[owned], result.stress[index] = energy, forces, stress
