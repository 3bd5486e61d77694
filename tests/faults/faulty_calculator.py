"""The reference method of disturbed searches: slow enough to be hit, and wrong for one frame where it is told to be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import CalculationFailed

from aiida_prospect.methods.lammps_potentials import POTENTIALS, LammpsCalculator

# Written into the folder of a job that runs; it is good for one evaluation.
ORDER = Path('fault')
NAN, UNCONVERGED = 'nan', 'unconverged'
SECONDS = 5.0


class FaultyCalculator(LammpsCalculator):
    """Gives the numbers of LAMMPS, unless there is an order in the working directory."""

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        order = ORDER.read_text() if ORDER.is_file() else ''
        ORDER.unlink(missing_ok=True)
        if order == UNCONVERGED:
            raise CalculationFailed('the self-consistency has not converged in 100 steps')
        super().calculate(*arguments, **keywords)
        if order == NAN:
            self.results['forces'] = np.full_like(self.results['forces'], np.nan)


def calculator(potential: str) -> FaultyCalculator:
    """Return a calculator after as long a time as a small DFT calculation takes."""
    time.sleep(SECONDS)
    return FaultyCalculator(POTENTIALS[potential])
