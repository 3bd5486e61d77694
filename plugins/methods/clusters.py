"""Which frames of a relaxed pool are the same minimum.

Frames are taken by ascending energy. Each joins the lowest cluster whose representative lies within the tolerance in
fingerprint *and* energy, else it founds a cluster. So nothing depends on the order of the pool, no chain of small steps
can join different crystals, and the representative of a cluster is its lowest frame. The lowest clusters are then
looked at with pymatgen's StructureMatcher: neighbours just outside the tolerance that match are joined, members just
inside it that do not match leave.

Energies are compared within a composition only, per atom. The order of clusters, and what "lowest" means in a pool of
several compositions, is by energy above the lowest minimum of the same composition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from scipy.spatial import KDTree

from aiida_prospect.common.enums import LabelStatus, RelaxStatus
from aiida_prospect.common.frames import FloatArray, Frames, IntArray
from aiida_prospect.methods.fingerprints import TOLERANCE, distances_to, project

NO_MINIMUM = -1
UNCERTAIN = -2
UNUSABLE = tuple(
    str(status)
    for status in (RelaxStatus.UNPHYSICAL, LabelStatus.FAILED, LabelStatus.REJECTED, LabelStatus.UNCONVERGED)
)


@dataclass(frozen=True)
class Clusters:
    """Minima of a pool, by ascending energy.

    :param labels: (n_frames,), cluster of each frame; −1 for what is no structure of use (unphysical, failed, without
        energy), −2 for frames whose relaxation ended because the potentials disagree: low perhaps, but no minima.
    :param representatives: (n_clusters,), the frame of lowest energy of each cluster.
    :param energies: (n_clusters,), its energy, eV per atom; NaN if the pool has no energies.
    """

    labels: IntArray
    representatives: IntArray
    energies: FloatArray

    def __len__(self) -> int:
        return len(self.representatives)

    @property
    def sizes(self) -> IntArray:
        """(n_clusters,), number of frames."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self)).astype(np.int64)


@dataclass(frozen=True)
class ClusterSettings:
    """When two frames are the same minimum.

    :param tolerance: distance of fingerprints.
    :param energy_tolerance: eV per atom.
    :param n_matched: this many of the lowest clusters are looked at with the structure matcher; 0: none.
    """

    tolerance: float = TOLERANCE
    energy_tolerance: float = 0.01
    n_matched: int = 20

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.energy_tolerance <= 0 or self.n_matched < 0:
            raise ValueError(f'tolerances must be positive and `n_matched` not negative, got {self}')


def compositions(frames: Frames) -> IntArray:
    """Number the frames by reduced formula: (n_frames,), equal for Si8 and Si16."""
    species, kinds = np.unique(frames.numbers, return_inverse=True)
    counts = np.zeros((len(frames), len(species)), dtype=np.int64)
    np.add.at(counts, (frames.frame_of_atom, kinds), 1)
    reduced = counts // np.gcd.reduce(counts, axis=1, keepdims=True) if counts.size else counts
    numbering: IntArray = np.unique(reduced, axis=0, return_inverse=True)[1].reshape(len(frames))
    return numbering


def relative_energies(frames: Frames, labels: IntArray | None = None) -> FloatArray:
    """Return energies per atom above the lowest minimum of the same composition.

    :param labels: as in :class:`Clusters`; of a composition without minima the lowest frame of any kind counts.
    :return: (n_frames,), eV; NaN where no energy is known.
    """
    if frames.energy is None:
        return np.full(len(frames), np.nan)
    energy, kinds = frames.energy_per_atom, compositions(frames)
    usable = np.isfinite(energy) & ((labels >= 0) if labels is not None else True)
    result = np.full(len(frames), np.nan)
    for kind in np.unique(kinds):
        mine = kinds == kind
        reference = energy[mine & usable] if np.any(mine & usable) else energy[mine & np.isfinite(energy)]
        if len(reference):
            result[mine] = energy[mine] - reference.min()
    return result


def cluster(frames: Frames, fingerprints: FloatArray, settings: ClusterSettings | None = None) -> Clusters:
    """Find the minima among relaxed frames.

    Without energies, as in an unrelaxed pool, every frame is a cluster of its own.

    :param fingerprints: (n_frames, d); frames with NaN are no minima.
    :raises ValueError: if there is not one fingerprint for each frame.
    """
    settings = settings or ClusterSettings()
    if len(fingerprints) != len(frames):
        raise ValueError(f'{len(fingerprints)} fingerprints for {len(frames)} frames')
    labels = _classes(frames, fingerprints)
    minima = np.flatnonzero(labels == 0)
    energy = frames.energy_per_atom if frames.energy is not None else np.full(len(frames), np.nan)
    if frames.energy is None:
        leaders = np.where(labels == 0, np.arange(len(frames)), labels)
        return _ordered(leaders, np.arange(len(frames), dtype=float), energy)
    leaders = labels.copy()
    kinds = compositions(frames)
    for kind in np.unique(kinds[minima]):
        mine = minima[kinds[minima] == kind]
        leaders[mine] = _join(mine, energy, fingerprints, settings)
    height = relative_energies(frames, labels)
    for kind in np.unique(kinds[minima]):
        _Matching(frames, fingerprints, energy, leaders, settings).correct(
            [index for index in _lowest(leaders, height, settings.n_matched) if kinds[index] == kind]
        )
    return _ordered(leaders, height, energy)


def _classes(frames: Frames, fingerprints: FloatArray) -> IntArray:
    """Return 0 for candidates of minima, else the negative labels of :class:`Clusters`."""
    labels = np.zeros(len(frames), dtype=np.int64)
    if frames.status is not None:
        labels[frames.status == str(RelaxStatus.UNCERTAIN)] = UNCERTAIN
        labels[np.isin(frames.status, UNUSABLE)] = NO_MINIMUM
    if frames.energy is not None:
        labels[~np.isfinite(frames.energy)] = NO_MINIMUM
    labels[~np.isfinite(fingerprints).all(axis=1)] = NO_MINIMUM
    return labels


def _join(mine: IntArray, energy: FloatArray, fingerprints: FloatArray, settings: ClusterSettings) -> IntArray:
    """Return for each of some frames of one composition the frame that leads its cluster."""
    order = mine[np.lexsort((mine, energy[mine]))]
    sorted_energy = energy[order]
    ends = np.searchsorted(sorted_energy, sorted_energy + settings.energy_tolerance, side='right')
    leader = np.full(len(order), -1, dtype=np.int64)
    shadows = project(fingerprints[order])
    tree = KDTree(shadows)
    for position, end in enumerate(ends):
        if leader[position] >= 0:
            continue
        leader[position] = order[position]
        # In a projection nothing is farther apart than it is.
        close = np.array(tree.query_ball_point(shadows[position], settings.tolerance * (1 + 1e-6)), dtype=np.int64)
        free = close[(close > position) & (close < end)]
        free = free[leader[free] < 0]
        near = distances_to(fingerprints[order[free]], fingerprints[order[position]]) < settings.tolerance
        leader[free[near]] = order[position]
    back = np.empty(len(order), dtype=np.int64)
    back[np.argsort(mine, kind='stable')] = leader[np.argsort(order, kind='stable')]
    return back


def _lowest(leaders: IntArray, height: FloatArray, n: int) -> list[int]:
    present = np.unique(leaders[leaders >= 0])
    return [int(index) for index in present[np.lexsort((present, height[present]))][:n]]


def _ordered(leaders: IntArray, height: FloatArray, energy: FloatArray) -> Clusters:
    representatives = np.array(_lowest(leaders, height, len(leaders)), dtype=np.int64)
    number = dict(zip(representatives.tolist(), range(len(representatives)), strict=True))
    labels = np.array([number[index] if index >= 0 else index for index in leaders.tolist()], dtype=np.int64)
    return Clusters(labels, representatives, energy[representatives])


@dataclass(frozen=True)
class _Matching:
    """Corrects the clusters of one composition in place where the fingerprint alone is not sure."""

    frames: Frames
    fingerprints: FloatArray
    energy: FloatArray
    leaders: IntArray
    settings: ClusterSettings

    # Beyond 2.5 tolerances two frames are not the same minimum, whatever a lenient matcher says; within half, they are.
    outer = 2.5
    inner = 0.5
    n_members = 5

    def correct(self, lowest: list[int]) -> None:
        for leader in lowest:
            self._split(leader)
        self._merge(lowest)

    def _split(self, leader: int) -> None:
        members = np.flatnonzero(self.leaders == leader)
        distance = distances_to(self.fingerprints[members], self.fingerprints[leader])
        farthest = np.argsort(-distance, kind='stable')[: self.n_members]
        doubtful = members[farthest[distance[farthest] > self.inner * self.settings.tolerance]]
        leaving = [int(i) for i in doubtful if not same_crystal(self.frames, leader, int(i))]
        for founder in sorted(leaving, key=lambda i: (self.energy[i], i)):
            if self.leaders[founder] != leader:
                continue
            to_founder = distances_to(self.fingerprints[members], self.fingerprints[founder])
            higher = self.energy[members] >= self.energy[founder]
            moved = members[(to_founder < distance) & higher & (self.leaders[members] == leader)]
            self.leaders[moved] = founder

    def _merge(self, lowest: list[int]) -> None:
        for lower, upper in self._neighbours(lowest):
            both_lead = self.leaders[lower] == lower and self.leaders[upper] == upper
            if both_lead and same_crystal(self.frames, lower, upper):
                self.leaders[self.leaders == upper] = lower

    def _neighbours(self, lowest: list[int]) -> Iterator[tuple[int, int]]:
        for position, lower in enumerate(lowest):
            for upper in lowest[position + 1 :]:
                distance = np.linalg.norm(self.fingerprints[lower] - self.fingerprints[upper])
                gap = self.energy[upper] - self.energy[lower]
                if distance < self.outer * self.settings.tolerance and gap < 2 * self.settings.energy_tolerance:
                    yield lower, upper


def same_crystal(frames: Frames, first: int, second: int) -> bool:
    """Tell whether pymatgen's StructureMatcher takes two frames for the same crystal, supercells included."""
    one, other = _structure(frames, first), _structure(frames, second)
    if StructureMatcher(primitive_cell=True).fit(one, other):
        return True
    # The primitive cell of a slightly distorted crystal may be missed in one of the two.
    return len(one) == len(other) and bool(StructureMatcher(primitive_cell=False).fit(one, other))


def _structure(frames: Frames, index: int) -> Structure:
    return AseAtomsAdaptor.get_structure(frames[index].to_atoms()[0])
