"""Neighbours of the atoms of many small periodic crystals, as one system of atoms and images.

Lists reach a skin beyond the cut-off and are kept from step to step of a relaxation, crystal by crystal, until the
atoms have moved too far. What is handed out are exactly the pairs within the cut-off, in an order that the history of
the lists does not change, so that results are the same to the last bit whenever they were made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.crowd import Crowd, FloatArray, IntArray

SKIN = 0.8
LISTS_KEPT = 4096
# Distances computed at once: 50 MB.
CANDIDATES = 1_000_000


@dataclass(frozen=True)
class _Kept:
    """The list of one crystal, and the geometry it was made for.

    :param image_of: (g,), atom within the crystal.
    :param translation: (g, 3), in lattice vectors.
    :param centre: (p,), like the next one within the crystal, images counted after its atoms.
    """

    positions: FloatArray
    cell: FloatArray
    image_of: IntArray
    translation: FloatArray
    centre: IntArray
    neighbour: IntArray


class Neighbours:
    """Finds neighbours, again and again in crystals that change little.

    :param cutoff: Å.
    :param skin: added to the cut-off of the lists that are kept, Å.
    """

    def __init__(self, cutoff: float, skin: float = SKIN) -> None:
        self.cutoff, self.skin = cutoff, skin
        self.built = 0
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._last: tuple[Frames, Crowd] | None = None

    def __call__(self, frames: Frames) -> Crowd:
        """Return the neighbours in crystals; asked for the same object again, as members of an ensemble do, at once."""
        if self._last is None or self._last[0] is not frames:
            self._last = (frames, self._join(frames, self._lists(frames)))
        return self._last[1]

    def _lists(self, frames: Frames) -> list[_Kept]:
        names = frames.source.tolist() if frames.source is not None else list(range(len(frames)))
        lists = [self._kept.get(name) for name in names]
        for index in np.flatnonzero(~self._still_good(frames, lists)).tolist():
            lists[index] = None
        missing = np.array([index for index, item in enumerate(lists) if item is None], dtype=np.int64)
        self.built += len(missing)
        for index, item in _search(frames, missing, self.cutoff + self.skin):
            lists[index] = item
        complete = [item for item in lists if item is not None]
        for name, kept in zip(names, complete, strict=True):
            self._kept[name] = kept
            self._kept.move_to_end(name)
        while len(self._kept) > max(LISTS_KEPT, len(names)):
            self._kept.popitem(last=False)
        return complete

    def _still_good(self, frames: Frames, lists: list[_Kept | None]) -> NDArray[np.bool_]:
        """Return which lists hold all pairs within the cut-off.

        A vector d between two atoms was (d − u)·F⁻¹ when the list was made, if F deforms the cell since then and u is
        the difference of the ways that the atoms went besides: at most ‖F⁻¹‖(cut-off + 2 max|u|) long.
        """
        good = np.zeros(len(frames), dtype=bool)
        sizes = frames.n_atoms
        rows = [i for i, item in enumerate(lists) if item is not None and len(item.positions) == sizes[i]]
        if not rows:
            return good
        chosen = np.array(rows)
        kept = [item for i in rows if (item := lists[i]) is not None]
        inverse = np.linalg.solve(frames.cells[chosen], np.array([item.cell for item in kept]))
        atoms = _concatenated(frames.offsets[chosen], sizes[chosen])
        first = np.concatenate([[0], np.cumsum(sizes[chosen])[:-1]])
        before = np.repeat(np.linalg.inv(inverse), sizes[chosen], axis=0)
        went = frames.positions[atoms] - np.einsum(
            'ai,aij->aj', np.concatenate([item.positions for item in kept]), before
        )
        farthest = np.sqrt(np.maximum.reduceat(np.einsum('ai,ai->a', went, went), first))
        reach = np.linalg.norm(inverse, ord=2, axis=(1, 2)) * (self.cutoff + 2 * farthest)
        good[chosen] = reach < self.cutoff + self.skin
        return good

    def _join(self, frames: Frames, lists: list[_Kept]) -> Crowd:
        n_atoms = len(frames.numbers)
        images = np.array([len(item.image_of) for item in lists])
        pairs = np.array([len(item.centre) for item in lists])
        first_image = n_atoms + np.concatenate([[0], np.cumsum(images)[:-1]])
        image_of = np.concatenate([item.image_of for item in lists]) + np.repeat(frames.offsets[:-1], images)
        shift = np.einsum(
            'gi,gij->gj', np.concatenate([item.translation for item in lists]), np.repeat(frames.cells, images, axis=0)
        )
        neighbour = np.concatenate([item.neighbour for item in lists])
        is_image = neighbour >= np.repeat(frames.n_atoms, pairs)
        offset = np.where(
            is_image, np.repeat(first_image - frames.n_atoms, pairs), np.repeat(frames.offsets[:-1], pairs)
        )
        neighbour = neighbour + offset
        centre = np.concatenate([item.centre for item in lists]) + np.repeat(frames.offsets[:-1], pairs)
        positions = np.concatenate([frames.positions, frames.positions[image_of] + shift])
        vectors = np.take(positions, neighbour, axis=0) - np.take(positions, centre, axis=0)
        close = np.einsum('pi,pi->p', vectors, vectors) < self.cutoff**2
        return Crowd(frames, image_of, shift, centre[close], neighbour[close])


class Neighbourhoods:
    """One :class:`Neighbours` for each cut-off."""

    def __init__(self) -> None:
        self._by_cutoff: dict[float, Neighbours] = {}

    def __call__(self, cutoff: float) -> Neighbours:
        """Return that of a cut-off, Å."""
        return self._by_cutoff.setdefault(cutoff, Neighbours(cutoff))


def _concatenated(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return the numbers from each start on."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)


def _search(frames: Frames, indices: IntArray, cutoff: float) -> Iterator[tuple[int, _Kept]]:
    """Find all pairs within a cut-off in some crystals, those of equal size and equal numbers of images together."""
    cells = frames.cells[indices]
    normals = np.cross(np.roll(cells, -1, axis=1), np.roll(cells, -2, axis=1))
    heights = np.abs(np.linalg.det(cells))[:, None] / np.linalg.norm(normals, axis=2)
    # With s the difference of two fractional coordinates in [-1/2, 1/2], the image s + n is |n| - 1/2 heights away.
    reach = np.floor(cutoff / heights + 0.5).astype(np.int64)
    kinds, kind = np.unique(np.column_stack([frames.n_atoms[indices], reach]), axis=0, return_inverse=True)
    for number, (size, *ranges) in enumerate(kinds.tolist()):
        grid = np.array(list(product(*(range(-n, n + 1) for n in ranges))), dtype=float)
        members = indices[kind.ravel() == number]
        at_once = max(1, CANDIDATES // (size**2 * len(grid)))
        for start in range(0, len(members), at_once):
            chosen = members[start : start + at_once]
            positions = frames.positions[frames.offsets[chosen][:, None] + np.arange(size)]
            yield from zip(chosen.tolist(), _pairs(positions, frames.cells[chosen], grid, cutoff), strict=True)


def _pairs(positions: FloatArray, cells: FloatArray, grid: FloatArray, cutoff: float) -> Iterator[_Kept]:
    """Find the pairs in crystals of equal size.

    :param positions: (m, n, 3).
    :param cells: (m, 3, 3).
    :param grid: (k, 3), translations of the wrapped differences to look at, from one end to the opposite one.
    """
    size = positions.shape[1]
    first, second = np.triu_indices(size)
    fractional = np.linalg.solve(cells.transpose(0, 2, 1), positions.transpose(0, 2, 1)).transpose(0, 2, 1)
    wraps = np.round(fractional[:, second] - fractional[:, first])
    vectors = positions[:, second] - positions[:, first] - wraps @ cells
    translations = grid @ cells
    squared = 2 * (vectors @ translations.transpose(0, 2, 1))
    squared += np.einsum('fpx,fpx->fp', vectors, vectors)[:, :, None]
    squared += np.einsum('fkx,fkx->fk', translations, translations)[:, None]
    # An atom is a neighbour of its own images, of which one half is the other seen from there.
    squared[:, first == second, : len(grid) // 2 + 1] = np.inf
    frame, pair, image = np.nonzero(squared < cutoff**2)
    translation = (grid[image] - wraps[frame, pair]).astype(np.int64)
    yield from _canonical(
        positions,
        cells,
        np.concatenate([frame, frame]),
        np.concatenate([first[pair], second[pair]]),
        np.concatenate([second[pair], first[pair]]),
        np.concatenate([translation, -translation]),
    )


def _canonical(
    positions: FloatArray,
    cells: FloatArray,
    frame: IntArray,
    centre: IntArray,
    other: IntArray,
    translation: IntArray,
) -> Iterator[_Kept]:
    """Number the images and sort the pairs by atoms and translations alone.

    :param frame: (p,), crystal of each pair, like the next two.
    :param translation: (p, 3), of the second atom.
    """
    count, size = positions.shape[:2]
    span = int(np.abs(translation).max(initial=0)) * 2 + 1
    code = (other * span**3) + ((translation + span // 2) * [span * span, span, 1]).sum(axis=1)
    order = np.argsort((frame * size + centre) * (size * span**3) + code)
    frame, centre, other, translation, code = (x[order] for x in (frame, centre, other, translation, code))
    outside = translation.any(axis=1)
    named, index, number = np.unique((frame * (size * span**3) + code)[outside], return_index=True, return_inverse=True)
    owner = named // (size * span**3)
    images = np.searchsorted(owner, np.arange(count + 1))
    neighbour = other.copy()
    neighbour[outside] = size + number.ravel() - images[frame[outside]]
    image_of, moved = other[outside][index], translation[outside][index].astype(float)
    pairs = np.searchsorted(frame, np.arange(count + 1))
    for row in range(count):
        chosen, mine = slice(pairs[row], pairs[row + 1]), slice(images[row], images[row + 1])
        yield _Kept(positions[row], cells[row], image_of[mine], moved[mine], centre[chosen], neighbour[chosen])
