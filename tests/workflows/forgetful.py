"""A reference method with a fault that passes: one energy is wrong, the first time that it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_prospect.methods.lammps_potentials import POTENTIALS, LammpsCalculator


class Forgetful(LammpsCalculator):
    """Gives the numbers of LAMMPS, but for one energy."""

    def __init__(self, potential: str, marker: str, number: int, error: float) -> None:
        super().__init__(POTENTIALS[potential])
        self.marker, self.left, self.error = Path(marker), number, error

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        super().calculate(*arguments, **keywords)
        if self.marker.exists():
            return
        self.left -= 1
        if self.left < 0:
            for name in ('energy', 'free_energy'):
                self.results[name] += self.error * len(self.atoms)
            self.marker.touch()


def forgetful(potential: str, marker: str, number: int, error: float) -> Forgetful:
    """Return the calculator.

    :param marker: file that is there once the fault has happened.
    :param number: of the structure that is hit, counted from 0.
    :param error: eV/atom.
    """
    return Forgetful(potential, marker, number, error)
