"""What all optimisers have in common: what they know of each structure, and the next step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import Optimizer
from aiida_prospect.methods.relaxation.fire import Fire
from aiida_prospect.methods.relaxation.lbfgs import Lbfgs
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.methods.relaxation.vectors import IntArray, Vectors

# By name; those that begin with `atoms_` have a row for each atom, the others one for each structure.
Memory = Mapping[str, NDArray[Any]]
PER_ATOM = 'atoms_'


class Optimiser(Protocol):
    """Moves many structures at once, each as if it were alone."""

    def start(self, n_atoms: IntArray) -> dict[str, NDArray[Any]]:
        """Return what is known of structures that have made no step.

        :param n_atoms: (m,).
        """

    def step(
        self, memory: Memory, forces: Vectors, offsets: IntArray, moving: NDArray[np.bool_]
    ) -> tuple[Vectors, dict[str, NDArray[Any]]]:
        """Return the next step of each structure, and what is known then.

        :param forces: minus the gradients.
        :param offsets: (m + 1,), as of :class:`~aiida_prospect.common.frames.Frames`.
        :param moving: (m,), false for those that have made no step.
        """


def make_optimiser(settings: RelaxSettings) -> Optimiser:
    """Return the optimiser that the settings ask for."""
    if settings.optimizer is Optimizer.FIRE:
        return Fire(settings.fire)
    return Lbfgs(settings.lbfgs)
