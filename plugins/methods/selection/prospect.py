"""Selection for a search: low energy, uncertain and different together.

Three questions share the labels of a cycle. *Are the lowest minima real?* The representatives of the lowest clusters
without an agreeing label are labelled as they are. *What hides where the potentials disagree?* The lowest frames whose
relaxation was ended for that reason. *Where else may a low minimum be?* The rest goes, one by one, to the minimum of
the lower confidence bound E − κ σ, with a penalty for closeness to what is labelled or chosen already (local
penalisation, González et al., AISTATS 2016), so that one basin does not take all labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.clusters import UNCERTAIN
from aiida_prospect.methods.fingerprints import distances_to
from aiida_prospect.methods.selection.base import SAME_POSITIONS, Choice, SelectionRequest, spread_out


@dataclass(frozen=True)
class ProspectSettings:
    """Weights of the three questions.

    :param n_lowest: so many of the lowest clusters are confirmed by labels.
    :param confirm_share: but they take no more than this share of a cycle's labels.
    :param uncertain_share: largest share of uncertain frames.
    :param kappa: true standard deviations below the energy that are hoped for.
    :param default_ratio: true standard deviation by spread, as long as it is not calibrated.
    :param max_bonus: what is hoped for is never more than this, eV per atom, else the oddest frames win.
    :param energy_scale: loss of lower confidence bound that is worth a structure unlike the others, eV per atom.
    :param length_scale: distance of fingerprints within which a label tells about a frame; 0.1 is far more than one
        minimum at finite temperature and a quarter of the usual distance of two phases.
    :param rattled_share: share of the rest, and of cycle 0, that is displaced: symmetric crystals have no forces and
        teach little.
    :param initial_displacement: standard deviation of a displacement in cycle 0, Å.
    :param displacement: the same in cycle 1, Å.
    :param displacement_decay: factor per cycle after the first.
    """

    n_lowest: int = 10
    confirm_share: float = 0.6
    uncertain_share: float = 0.2
    kappa: float = 1.0
    default_ratio: float = 2.0
    max_bonus: float = 0.2
    energy_scale: float = 0.05
    length_scale: float = 0.1
    rattled_share: float = 0.5
    initial_displacement: float = 0.1
    displacement: float = 0.15
    displacement_decay: float = 0.8


def select(request: SelectionRequest) -> list[Choice]:
    """Choose frames to confirm, to settle and to discover; spread out before there are energies, or any of use."""
    settings = request.settings(ProspectSettings)
    if not request.explored or request.is_lost:
        rattle = _every(settings.rattled_share)
        width = settings.initial_displacement
        return [replace(choice, displacement=width if next(rattle) else 0.0) for choice in spread_out(request)]
    return _Selection(request, settings).run()


class _Selection:
    def __init__(self, request: SelectionRequest, settings: ProspectSettings) -> None:
        self.request = request
        self.settings = settings
        self.bound = lower_confidence_bound(request, settings)
        self.distance = request.nearest_label[0].copy()
        self.taken = ~request.eligible
        self.choices: list[Choice] = []

    @property
    def left(self) -> int:
        return self.request.n_select - len(self.choices)

    def run(self) -> list[Choice]:
        n_select = self.request.n_select
        lowest = self.request.clusters.representatives[: self.settings.n_lowest]
        minima = self.request.clusters.representatives
        uncertain = np.flatnonzero(self.request.clusters.labels == UNCERTAIN)
        self._confirm(lowest, _part(self.settings.confirm_share, n_select))
        self._discover(uncertain, _part(self.settings.uncertain_share, n_select), 'potentials disagree', rattled=0.0)
        self._discover(minima, self.left, 'low and different', rattled=self.settings.rattled_share)
        self._discover(uncertain, self.left, 'potentials disagree', rattled=0.0)
        return self.choices

    def _confirm(self, lowest: IntArray, n_most: int) -> None:
        # Ties of the bound are broken by index, so that nothing depends on the sorting algorithm.
        open_ones = [int(i) for i in lowest if not self.taken[i]]
        ranks = {int(i): rank for rank, i in enumerate(lowest)}
        for index in sorted(open_ones, key=lambda i: (self.bound[i], i))[: min(n_most, self.left)]:
            if self.taken[index]:
                continue
            why = 'its label disagrees' if self.request.disputed[index] else 'to be confirmed'
            self._take(index, f'cluster {ranks[index]}, {why}', self._width if self._known(index) else 0.0)

    def _discover(self, indices: IntArray, n_most: int, why: str, rattled: float) -> None:
        target = len(self.choices) + min(n_most, self.left)
        rattle = _every(rattled)
        while len(self.choices) < target:
            free = indices[~self.taken[indices]]
            if not len(free):
                return
            index = int(free[np.argmin(self._cost(free))])
            displaced = next(rattle) or self._known(index)
            self._take(index, why, self._width if displaced else 0.0)

    def _cost(self, indices: IntArray) -> FloatArray:
        scaled = (self.distance[indices] / self.settings.length_scale) ** 2
        # A frame at a distance of 0 is allowed still, if its label disagrees; its logarithm must stay finite.
        crowding: FloatArray = -np.log(-np.expm1(-np.maximum(scaled, 1e-4)))
        return self.bound[indices] + self.settings.energy_scale * crowding

    def _take(self, index: int, why: str, displacement: float) -> None:
        words = f'{why}: {self.request.describe(index)}{self.request.describe_displacement(index, displacement)}'
        self.choices.append(Choice(index, words, displacement))
        distance = distances_to(self.request.fingerprints, self.request.fingerprints[index])
        self.distance = np.fmin(self.distance, distance)
        self.taken |= distance < self.request.tolerance

    def _known(self, index: int) -> bool:
        # The very same positions have a label, though one that disagrees: a second one would be the same again.
        return bool(self.request.nearest_label[0][index] < SAME_POSITIONS * self.request.tolerance)

    @property
    def _width(self) -> float:
        return self.settings.displacement * self.settings.displacement_decay ** max(self.request.cycle - 1, 0)


def lower_confidence_bound(request: SelectionRequest, settings: ProspectSettings) -> FloatArray:
    """Return E − κ σ above the lowest minimum: (n_pool,), eV per atom.

    σ is the spread of the ensemble times its calibrated ratio to the true errors (kept between 0.5 and 10).
    """
    spread = request.pool.energy_spread
    if spread is None:
        return request.height
    ratio = request.calibration.ratio
    ratio = float(np.clip(ratio, 0.5, 10)) if np.isfinite(ratio) else settings.default_ratio
    bonus = settings.kappa * ratio * np.nan_to_num(spread) / request.pool.n_atoms
    return request.height - np.minimum(bonus, settings.max_bonus)


def _part(share: float, n_select: int) -> int:
    return max(1, round(share * n_select)) if share > 0 else 0


def _every(share: float) -> Iterator[bool]:
    """Yield true for a share of the calls, evenly; the first of them if the share is a half or more."""
    filled = 0.5
    while True:
        filled += share
        yield filled >= 1 - 1e-9
        filled -= filled >= 1 - 1e-9
