"""ML-POD for the optimisers of ASE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.pod import PodEvaluator


class PodCalculator(Calculator):
    """The evaluator of this package, one structure at a time; it counts."""

    implemented_properties = ['energy', 'forces', 'stress']  # noqa: RUF012

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.evaluated = 0
        self._evaluator = PodEvaluator(file)

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ('energy',), system_changes: Any = all_changes
    ) -> None:
        """Evaluate."""
        super().calculate(atoms, properties, system_changes)
        self.evaluated += 1
        found = self._evaluator.evaluate(Frames.from_atoms([self.atoms]))
        self.results = {
            'energy': float(found.energy[0]),
            'forces': found.forces,
            'stress': full_3x3_to_voigt_6_stress(found.stress[0]),
        }
