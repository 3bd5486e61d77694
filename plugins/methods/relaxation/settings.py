"""What a relaxation can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from aiida_prospect.common.enums import Optimizer, RelaxStatus


@dataclass(frozen=True)
class FireSettings:
    """Parameters of FIRE, with the defaults and under the names of :class:`ase.optimize.FIRE`.

    :param dt: first time step.
    :param maxstep: longest step of all coordinates of a structure together, Å.
    """

    dt: float = 0.1
    maxstep: float = 0.2
    dtmax: float = 1.0
    Nmin: int = 5
    finc: float = 1.1
    fdec: float = 0.5
    astart: float = 0.1
    fa: float = 0.99


@dataclass(frozen=True)
class LbfgsSettings:
    """Parameters of L-BFGS.

    :param maxstep: longest step of an atom, or of a row of the cell, Å.
    :param memory: steps that the curvature is learnt from.
    :param stiffness: taken for the curvature as long as nothing is known, eV/Å².
    :param softest: least curvature, eV/Å².
    :param stiffest: largest curvature, eV/Å².
    """

    maxstep: float = 0.2
    memory: int = 20
    stiffness: float = 30.0
    softest: float = 5.0
    stiffest: float = 200.0

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise ValueError(f'`memory` is {self.memory}, it must be at least 1')
        if not 0 < self.softest <= self.stiffest:
            raise ValueError(
                f'`softest` is {self.softest}, `stiffest` {self.stiffest}: expected 0 < softest ≤ stiffest'
            )


@dataclass(frozen=True)
class Uncertainty:
    """When the potentials disagree too much to go on.

    A structure is uncertain if the largest spread of a force is at least ``ratio`` times the largest force *and* at
    least ``floor``. The floor keeps minima, where the forces vanish, from being called uncertain.

    :param floor: eV/Å.
    """

    ratio: float = 0.7
    floor: float = 1.5


@dataclass(frozen=True)
class Sanity:
    """What is no crystal any more.

    :param distance: shortest distance of two atoms, in units of the sum of their covalent radii.
    :param height: least distance of opposite faces of the cell, Å.
    :param compression: least volume, in units of that at the start.
    :param expansion: largest volume, in units of that at the start.
    :param lowest_energy: energy per atom below which the potential is taken to have a hole, eV; ``None`` for any.
    """

    distance: float = 0.5
    height: float = 1.2
    compression: float = 0.25
    expansion: float = 4.0
    lowest_energy: float | None = None


@dataclass(frozen=True)
class TrajectorySettings:
    """Which frames on the way are kept.

    :param every: one frame in so many steps, besides the last one.
    :param statuses: relaxations that ended otherwise leave no trajectory.
    """

    every: int = 5
    statuses: tuple[str, ...] = tuple(status.value for status in RelaxStatus)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f'`every` is {self.every}, it must be at least 1')
        object.__setattr__(self, 'statuses', tuple(RelaxStatus(status).value for status in self.statuses))


@dataclass(frozen=True)
class RelaxSettings:
    """What a relaxation can be told.

    :param fmax: forces on atoms and on the cell (as of :class:`ase.filters.UnitCellFilter`) that count as none, eV/Å.
    :param max_steps: after which it is given up.
    :param patience: steps without a lower enthalpy after which it is given up.
    :param pressure: eV/Å³.
    :param batch_atoms: atoms of the structures that advance together.
    :param optimizer: how steps are chosen; L-BFGS needs about half as many as FIRE.
    :param spread_every: steps from one look at the disagreement of the potentials to the next, where their mean alone
        costs less; the best frame is taken from these steps.
    :param uncertainty: ``None`` to go on however much the potentials disagree.
    :param trajectory: ``None`` to keep the best frame only.
    """

    fmax: float = 0.05
    max_steps: int = 300
    patience: int = 50
    pressure: float = 0.0
    batch_atoms: int = 1024
    optimizer: Optimizer = Optimizer.LBFGS
    spread_every: int = 5
    fire: FireSettings = field(default_factory=FireSettings)
    lbfgs: LbfgsSettings = field(default_factory=LbfgsSettings)
    uncertainty: Uncertainty | None = field(default_factory=Uncertainty)
    sanity: Sanity = field(default_factory=Sanity)
    trajectory: TrajectorySettings | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'optimizer', Optimizer(self.optimizer))
        for name in ('fmax', 'max_steps', 'patience', 'batch_atoms', 'spread_every'):
            if getattr(self, name) <= 0:
                raise ValueError(f'`{name}` is {getattr(self, name)}, it must be positive')

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RelaxSettings:
        """Make settings of nested dictionaries.

        :raises ValueError: if a key is unknown or a value impossible.
        """
        parts = {
            'fire': FireSettings,
            'lbfgs': LbfgsSettings,
            'uncertainty': Uncertainty,
            'sanity': Sanity,
            'trajectory': TrajectorySettings,
        }
        given = {
            key: parts[key](**_known(parts[key], value, f'{key}.')) if key in parts and value is not None else value
            for key, value in values.items()
        }
        return cls(**_known(cls, given))


def _known(cls: type, values: Mapping[str, Any], path: str = '') -> dict[str, Any]:
    """Refuse what the class does not have, and nothing where only something makes sense."""
    types = {item.name: str(item.type) for item in fields(cls)}
    for key, value in values.items():
        if key not in types:
            raise ValueError(f'`{path}{key}` is no setting of a relaxation; known here: {", ".join(types)}')
        if value is None and 'None' not in types[key]:
            raise ValueError(f'`{path}{key}` is null, which means nothing here: leave it out for the default')
    return dict(values)
