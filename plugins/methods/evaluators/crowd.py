"""Many small periodic crystals as one system of atoms and images, in the two forms that models take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Crowd:
    """Crystals and the images of their atoms that are somebody's neighbours, as one system without periodicity.

    What follows from the fields is kept, as each member of an ensemble asks for it.

    :param frames: the crystals.
    :param image_of: (g,), atom that each image is one of.
    :param shift: (g, 3), how far it is from it, Å.
    :param centre: (p,), atoms, ascending.
    :param neighbour: (p,), another atom, or an image as ``n_atoms + index``, within the cut-off.
    """

    frames: Frames
    image_of: IntArray
    shift: FloatArray
    centre: IntArray
    neighbour: IntArray

    @cached_property
    def positions(self) -> FloatArray:
        """(n_atoms + g, 3), of the atoms and then the images, Å."""
        own = self.frames.positions
        return np.concatenate([own, own[self.image_of] + self.shift])

    @cached_property
    def owner(self) -> IntArray:
        """(n_atoms + g,), the crystal that atoms and images belong to."""
        return np.concatenate([self.frames.frame_of_atom, self.frames.frame_of_atom[self.image_of]])

    @cached_property
    def atoms(self) -> IntArray:
        """(n_atoms + g,), the atom itself, or that of the image."""
        return np.concatenate([np.arange(len(self.frames.numbers)), self.image_of])

    @cached_property
    def stacks(self) -> list[Stack]:
        """The crystals by their numbers of atoms."""
        sizes = self.frames.n_atoms
        return [Stack.of(self, np.flatnonzero(sizes == size)) for size in np.unique(sizes)]

    def gather(self, forces: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what the (n_atoms + g, 3) forces come to, eV/Å.

        :return: (n_atoms, 3) forces on atoms, eV/Å, and (n_frames, 3, 3) virials, eV.
        """
        n_atoms, size = len(self.frames.numbers), len(self.frames)
        atoms, owner, positions = self.atoms, self.owner, self.positions
        on_atoms = np.empty((n_atoms, 3))
        for i in range(3):
            on_atoms[:, i] = np.bincount(atoms, forces[:, i], n_atoms)
        virial = np.empty((size, 3, 3))
        for i, j in product(range(3), repeat=2):
            virial[:, i, j] = np.bincount(owner, forces[:, i] * positions[:, j], size)
        return on_atoms, (virial + virial.transpose(0, 2, 1)) / 2


@dataclass(frozen=True)
class Stack:
    """Crystals of equal size and their images, each padded to the most images by copies of its first atom.

    :param members: (m, k), atoms and then images of each crystal, as in a crowd.
    :param real: (m, k), false for padding.
    :param atoms: (m, k), place within the crystal of the atom that each is an image of.
    :param table: (m, n, l), places within the crystal of the neighbours, −1 where there are no more.
    """

    members: IntArray
    real: NDArray[np.bool_]
    atoms: IntArray
    table: IntArray

    @classmethod
    def of(cls, crowd: Crowd, frames: IntArray) -> Stack:
        """Stack some crystals of a crowd.

        :param frames: (m,), crystals of n atoms each.
        """
        n_atoms, offsets = len(crowd.frames.numbers), crowd.frames.offsets
        size = int(offsets[frames[0] + 1] - offsets[frames[0]])
        first_image = np.searchsorted(crowd.owner[n_atoms:], np.arange(len(offsets)))
        images = np.diff(first_image)[frames]
        columns = np.arange(size + images.max(initial=0))
        real = columns < (size + images)[:, None]
        own, image = offsets[frames][:, None] + columns, n_atoms + first_image[frames][:, None] + columns - size
        members = np.where(real, np.where(columns < size, own, image), offsets[frames][:, None])
        atoms = crowd.atoms[members] - offsets[frames][:, None]
        place = np.zeros(n_atoms + len(crowd.image_of), dtype=np.int64)
        place[members[real]] = np.broadcast_to(columns, members.shape)[real]
        row = np.full(len(crowd.frames), -1)
        row[frames] = np.arange(len(frames))
        rows = row[crowd.frames.frame_of_atom[crowd.centre]]
        centre, neighbour, rows = (values[rows >= 0] for values in (crowd.centre, crowd.neighbour, rows))
        counts = np.bincount(centre, minlength=n_atoms)
        table = np.full((len(frames), size, int(counts.max(initial=1))), -1)
        table[rows, place[centre], np.arange(len(centre)) - (np.cumsum(counts) - counts)[centre]] = place[neighbour]
        return cls(members, real, atoms, table)
