"""The contract of a selection strategy, and what the strategies share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, TypeVar

import numpy as np
from scipy.linalg import expm
from sklearn.metrics import pairwise_distances

from aiida_prospect.common.frames import PER_ATOM, FloatArray, Frames, IntArray
from aiida_prospect.methods.calibration import Calibration, usable_labels
from aiida_prospect.methods.clusters import NO_MINIMUM, Clusters, compositions, relative_energies
from aiida_prospect.methods.fingerprints import TOLERANCE, distances_to, nearest

ENTRY_POINT_GROUP = 'aiida_prospect.selection'
# In tolerances: nearer than this, two frames have the same positions for all that a label can tell.
SAME_POSITIONS = 0.25
T = TypeVar('T')


@dataclass(frozen=True)
class Choice:
    """A frame that is to be labelled.

    :param index: in the pool.
    :param reason: for people to read.
    :param displacement: standard deviation of a Gaussian displacement of its atoms before labelling, Å.
    """

    index: int
    reason: str
    displacement: float = 0.0


@dataclass(frozen=True)
class SelectionRequest:
    """Everything that a strategy may look at.

    :param pool: relaxed by the current ensemble, or as generated (without energies) before there is one.
    :param fingerprints: (n_pool, d), NaN where there is none.
    :param clusters: minima of the pool.
    :param n_select: how many frames are wanted; fewer are returned if there are not so many.
    :param rng: the only source of randomness.
    :param labelled: all frames sent to be labelled so far, whatever became of them.
    :param labelled_fingerprints: (n_labelled, d).
    :param cycle: number of the cycle, from 0.
    :param options: of the strategy; unknown ones are refused by :meth:`settings`.
    :param calibration: of the ensemble's spread.
    :param tolerance: distance of fingerprints below which two frames are the same structure.
    :param energy_tolerance: difference up to which the ensemble agrees with a label, eV per atom.
    """

    pool: Frames
    fingerprints: FloatArray
    clusters: Clusters
    n_select: int
    rng: np.random.Generator
    labelled: Frames = field(default_factory=Frames.empty)
    labelled_fingerprints: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    cycle: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    tolerance: float = TOLERANCE
    energy_tolerance: float = 0.01

    def __post_init__(self) -> None:
        if self.n_select < 1:
            raise ValueError(f'`n_select` must be at least 1, got {self.n_select}')
        for name, frames, known in (
            ('fingerprints', self.pool, self.fingerprints),
            ('labelled_fingerprints', self.labelled, self.labelled_fingerprints),
        ):
            if len(frames) != len(known):
                raise ValueError(f'{len(known)} `{name}` for {len(frames)} frames')

    def settings(self, kind: type[T]) -> T:
        """Return the options as a dataclass of the strategy.

        :raises ValueError: if there are others than it has.
        """
        allowed = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
        unknown = set(self.options) - allowed
        if unknown:
            raise ValueError(f'unknown options {sorted(unknown)} of the strategy; it has {sorted(allowed)}')
        return kind(**self.options)

    @property
    def explored(self) -> bool:
        """Whether the pool has energies."""
        return self.pool.energy is not None

    @cached_property
    def height(self) -> FloatArray:
        """(n_pool,), energy above the lowest minimum of the same composition, eV per atom."""
        return relative_energies(self.pool, self.clusters.labels)

    @cached_property
    def force_deviation(self) -> FloatArray:
        """(n_pool,), largest spread of a force in the frame, eV/Å; NaN if unknown."""
        if self.pool.forces_spread is None:
            return np.full(len(self.pool), np.nan)
        return self.pool.max_over_atoms(self.pool.forces_spread)

    @cached_property
    def nearest_label(self) -> tuple[FloatArray, IntArray]:
        """(n_pool,) distance of each frame to the nearest labelled one, and (n_pool,) index of that."""
        return nearest(self.fingerprints, _only(self.labelled_fingerprints, usable_labels(self.labelled)))

    @cached_property
    def disputed(self) -> np.ndarray:
        """(n_pool,), whether a label is at hand but its energy is not what the ensemble says."""
        distance, label = self.nearest_label
        result = np.zeros(len(self.pool), dtype=bool)
        near = np.flatnonzero(distance < self.tolerance)
        if self.explored and len(near):
            gap = self.pool.energy_per_atom[near] - self.labelled.energy_per_atom[label[near]]
            result[near] = np.abs(gap) > self.energy_tolerance
        return result

    @cached_property
    def labelled_already(self) -> np.ndarray:
        """(n_pool,), whether a label would tell nothing new.

        That is a frame with an agreeing label within the tolerance, or one that all but coincides (a quarter of the
        tolerance) with a frame whose labelling failed and would fail again.
        """
        failed = _only(self.labelled_fingerprints, ~usable_labels(self.labelled))
        hopeless = nearest(self.fingerprints, failed)[0] < SAME_POSITIONS * self.tolerance
        return ((self.nearest_label[0] < self.tolerance) & ~self.disputed) | hopeless

    @cached_property
    def eligible(self) -> np.ndarray:
        """(n_pool,), whether a frame may be chosen: a structure of use, and not labelled already.

        Where the potentials take all for unphysical, any frame may: nothing else would teach them better.
        """
        known = np.isfinite(self.fingerprints).all(axis=1) & ~self.labelled_already
        return known if self.is_lost else known & self.useful

    @cached_property
    def useful(self) -> np.ndarray:
        """(n_pool,), which frames are minima, or uncertain."""
        return np.asarray(self.clusters.labels != NO_MINIMUM)

    @property
    def is_lost(self) -> bool:
        """Whether the potentials have left nothing of use in the pool."""
        return len(self.pool) > 0 and not self.useful.any()

    def describe(self, index: int) -> str:
        """Return energy, spread and force deviation of a frame in words."""
        if not self.explored:
            return f'{self.pool.volumes[index] / self.pool.n_atoms[index]:.1f} Å³/atom'
        words = [f'E = {self.pool.energy_per_atom[index]:.3f} eV/atom']
        if self.pool.energy_spread is not None:
            words.append(f'spread {1000 * self.pool.energy_spread[index] / self.pool.n_atoms[index]:.0f} meV/atom')
        if np.isfinite(self.force_deviation[index]):
            words.append(f'force deviation {self.force_deviation[index]:.2f} eV/Å')
        return ', '.join(words)

    def describe_displacement(self, index: int, displacement: float) -> str:
        """Return what :func:`displace` does to a frame in words, nothing if that is nothing."""
        if not displacement:
            return ''
        strained = ' by a strain of its cell' if self.pool.n_atoms[index] == 1 else ''
        return f', displaced by {displacement:.2f} Å{strained}'


Strategy = Callable[[SelectionRequest], 'list[Choice]']


def strategy_names() -> list[str]:
    """Return the names of all registered strategies."""
    return sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP))


def load_strategy(name: str) -> Strategy:
    """Return a registered strategy.

    :raises ValueError: if there is none of that name.
    """
    registered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in registered:
        raise ValueError(f'`{name}` is no selection strategy; registered are: {", ".join(strategy_names())}')
    strategy: Strategy = registered[name].load()
    return strategy


def _only(fingerprints: FloatArray, mask: np.ndarray) -> FloatArray:
    return np.where(mask[:, None], fingerprints, np.nan) if fingerprints.size else fingerprints


def draw(request: SelectionRequest) -> list[Choice]:
    """Choose at random among all eligible frames."""
    eligible = np.flatnonzero(request.eligible)
    chosen = request.rng.permutation(eligible)[: request.n_select]
    return [Choice(int(i), f'at random: {request.describe(int(i))}') for i in chosen]


def spread_out(request: SelectionRequest, central: float = 0.8, n_covered: int = 2000) -> list[Choice]:
    """Choose unrelaxed frames so that the others lie near to one of them.

    Each choice lowers the mean distance of a frame to the nearest chosen or labelled one most (greedy facility
    location: Nemhauser, Wolsey and Fisher, Math. Program. 14, 265 (1978)). Farthest points would do so for the largest
    distance, but are the oddest frames: of random silicon they lie 0.1 to 0.4 eV/atom higher and leave the mean
    distance no smaller than choosing at random does. Frames of unusual volume are not chosen as long as there are
    enough others.

    :param central: share of the volumes per atom of a composition that counts as usual.
    :param n_covered: at most so many frames, drawn at random, stand for all that are to be near.
    """
    eligible = np.flatnonzero(request.eligible)
    if not len(eligible):
        return []
    usual = eligible[_of_usual_volume(request.pool, central)[eligible]]
    candidates = usual if len(usual) >= request.n_select else eligible
    covered = np.sort(request.rng.permutation(eligible)[:n_covered])
    between = pairwise_distances(request.fingerprints[candidates], request.fingerprints[covered]).astype(np.float32)
    # Normalised fingerprints are never more than 2 apart.
    left = np.minimum(request.nearest_label[0][covered], 2.0).astype(np.float32)
    gain = np.maximum(left - between, 0).sum(axis=1, dtype=float)
    chosen: list[Choice] = []
    while len(chosen) < request.n_select and np.isfinite(gain).any():
        position = int(np.argmax(gain))
        # A gain only falls as more is chosen: what is the best still when brought up to date is the best of all.
        gain[position] = np.maximum(left - between[position], 0).sum(dtype=float)
        if np.argmax(gain) != position:
            continue
        index = int(candidates[position])
        chosen.append(Choice(index, f'stands for others: {request.describe(index)}'))
        left = np.minimum(left, between[position])
        copies = distances_to(request.fingerprints[candidates], request.fingerprints[index]) < request.tolerance
        gain[copies] = -np.inf
    return chosen


def _of_usual_volume(pool: Frames, central: float) -> np.ndarray:
    volume, kinds = pool.volumes / pool.n_atoms, compositions(pool)
    usual = np.zeros(len(pool), dtype=bool)
    for kind in np.unique(kinds):
        mine = kinds == kind
        low, high = np.quantile(volume[mine], [(1 - central) / 2, (1 + central) / 2])
        usual[mine] = (volume[mine] >= low) & (volume[mine] <= high)
    return usual


def displace(frames: Frames, sigma: float | Sequence[float] | FloatArray, rng: np.random.Generator) -> Frames:
    """Move atoms by Gaussian noise; frames that are moved forget what was known of them.

    To displace the only atom of a cell would change nothing: its cell is strained, so that its images move as much.

    :param sigma: standard deviation of each Cartesian component, Å, one or one for each frame.
    """
    width = np.broadcast_to(np.asarray(sigma, dtype=float), (len(frames),))
    if np.any(width < 0):
        raise ValueError('`sigma` must not be negative')
    noise = rng.normal(size=frames.positions.shape) * width[frames.frame_of_atom][:, None]
    moved = {'positions': frames.positions + noise}
    alone = np.flatnonzero((width > 0) & (frames.n_atoms == 1))
    if len(alone):
        moved['cells'] = frames.cells.copy()
        moved['cells'][alone] = frames.cells[alone] @ _strains(frames.volumes[alone], width[alone], rng)
        moved['positions'][frames.offsets[alone]] = frames.positions[frames.offsets[alone]]
    for name in ('energy', 'stress', 'energy_spread', 'energy_initial', 'forces', 'forces_spread'):
        value = getattr(frames, name)
        if value is not None:
            value = value.copy()
            value[(width > 0)[frames.frame_of_atom] if name in PER_ATOM else width > 0] = np.nan
            moved[name] = value
    return frames.replace(**moved)


def _strains(volumes: FloatArray, width: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return (n, 3, 3) symmetric deformations that change the distances to images, V^(1/3), by a displacement."""
    noise = rng.normal(size=(len(volumes), 3, 3)) * (width / np.cbrt(volumes))[:, None, None]
    # The exponential of a symmetric matrix never turns a cell inside out.
    return np.asarray(expm((noise + noise.transpose(0, 2, 1)) / 2))
