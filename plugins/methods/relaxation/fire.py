"""FIRE for many structures at once, positions and cells together.

Each structure follows the algorithm of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), as :class:`ase.optimize.FIRE`
has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.methods.relaxation.settings import FireSettings
from aiida_prospect.methods.relaxation.vectors import FloatArray, IntArray, Vectors


@dataclass(frozen=True)
class Clock:
    """What FIRE remembers of each structure besides the velocity.

    :param time_step: (n_frames,).
    :param mixing: (n_frames,), how much of the velocity is turned to the force.
    :param downhill: (n_frames,), steps since it last went uphill.
    """

    time_step: FloatArray
    mixing: FloatArray
    downhill: IntArray


class Fire:
    """The optimiser."""

    def __init__(self, settings: FireSettings) -> None:
        self.settings = settings

    def start(self, n_atoms: IntArray) -> dict[str, NDArray[Any]]:
        """Return velocities and clocks of structures at rest."""
        size = len(n_atoms)
        return {
            'atoms_velocity': np.zeros((int(np.sum(n_atoms)), 3)),
            'cell_velocity': np.zeros((size, 3, 3)),
            'time_step': np.full(size, self.settings.dt),
            'mixing': np.full(size, self.settings.astart),
            'downhill': np.zeros(size, dtype=np.int64),
        }

    def step(
        self, memory: Mapping[str, NDArray[Any]], forces: Vectors, offsets: IntArray, moving: NDArray[np.bool_]
    ) -> tuple[Vectors, dict[str, NDArray[Any]]]:
        """Return the next steps, see :class:`~aiida_prospect.methods.relaxation.optimisers.Optimiser`."""
        velocity = Vectors(memory['atoms_velocity'], memory['cell_velocity'])
        clock = Clock(memory['time_step'], memory['mixing'], memory['downhill'])
        step, velocity, clock = fire_step(velocity, clock, forces, moving, offsets, self.settings)
        return step, {
            'atoms_velocity': velocity.atoms,
            'cell_velocity': velocity.cell,
            'time_step': clock.time_step,
            'mixing': clock.mixing,
            'downhill': clock.downhill,
        }


def fire_step(
    velocity: Vectors,
    clock: Clock,
    forces: Vectors,
    moving: NDArray[np.bool_],
    offsets: IntArray,
    settings: FireSettings,
) -> tuple[Vectors, Vectors, Clock]:
    """Advance all structures by one step.

    :param forces: minus the gradients.
    :param moving: (n_frames,), false for those that have made no step yet.
    :param offsets: (n_frames + 1,), as of :class:`~aiida_prospect.common.frames.Frames`.
    :return: the steps, and the new velocities and clocks.
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    downhill = moving & (velocity.dot(forces, offsets) > 0.0)
    uphill = moving & ~downhill
    velocity = _turn(velocity, forces, clock.mixing, downhill, uphill, owner, offsets)
    faster = downhill & (clock.downhill > settings.Nmin)
    clock = Clock(
        time_step=np.select(
            [faster, uphill],
            [np.minimum(clock.time_step * settings.finc, settings.dtmax), clock.time_step * settings.fdec],
            clock.time_step,
        ),
        mixing=np.select([faster, uphill], [clock.mixing * settings.fa, settings.astart], clock.mixing),
        downhill=np.select([downhill, uphill], [clock.downhill + 1, 0], clock.downhill),
    )
    velocity = velocity.plus(forces.times(clock.time_step, owner))
    step = velocity.times(clock.time_step, owner)
    length = np.sqrt(step.dot(step, offsets))
    limit = np.where(length > settings.maxstep, settings.maxstep / np.maximum(length, settings.maxstep), 1.0)
    return step.times(limit, owner), velocity, clock


def _turn(
    velocity: Vectors,
    forces: Vectors,
    mixing: FloatArray,
    downhill: NDArray[np.bool_],
    uphill: NDArray[np.bool_],
    owner: IntArray,
    offsets: IntArray,
) -> Vectors:
    """Turn velocities that go downhill towards the forces, stop those that go uphill."""
    speed = np.sqrt(velocity.dot(velocity, offsets))
    force = np.sqrt(forces.dot(forces, offsets))
    kept = np.select([downhill, uphill], [1.0 - mixing, 0.0], 1.0)
    turned = np.where(downhill, mixing * speed / np.where(force > 0, force, 1.0), 0.0)
    return velocity.times(kept, owner).plus(forces.times(turned, owner))
