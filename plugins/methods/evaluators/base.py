"""What evaluates energies, forces and stresses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Unconverged(RuntimeError):
    """A calculator did not reach the self-consistency of a frame."""


class JobEnded(Exception):
    """The job is being ended from outside: what was not evaluated is left to another one."""


# Set by a runner that was told to end; the programs that it runs were told too, and may end with any status.
JOB_IS_ENDING = Event()


@dataclass(frozen=True)
class Evaluation:
    """Energies, forces and stresses of a set of frames by one potential; NaN where a frame could not be evaluated.

    :param energy: (n_frames,), eV.
    :param forces: (n_atoms, 3), eV/Å.
    :param stress: (n_frames, 3, 3), eV/Å³, positive under tension; NaN throughout if the potential has no stress.
    :param errors: why a frame could not be evaluated, by its index.
    :param unconverged: those of them that the method gave up before self-consistency.
    """

    energy: FloatArray
    forces: FloatArray
    stress: FloatArray
    errors: dict[int, str] = field(default_factory=dict)
    unconverged: set[int] = field(default_factory=set)

    @classmethod
    def unknown(cls, frames: Frames) -> Evaluation:
        """Return one to be filled in: everything is NaN."""
        size, n_atoms = len(frames), len(frames.numbers)
        return cls(np.full(size, np.nan), np.full((n_atoms, 3), np.nan), np.full((size, 3, 3), np.nan))


class Evaluator(Protocol):
    """A potential."""

    def evaluate(self, frames: Frames) -> Evaluation:
        """Evaluate frames of any sizes and compositions; what fails is reported, not raised."""


def right_handed(cells: FloatArray) -> FloatArray:
    """Return cells of the same lattices with positive determinants.

    DeePMD-kit 3.2.0 accepts left-handed cells, but its TensorFlow backend turns the sign of their forces around and the
    dense neighbour list of its PyTorch backend misses neighbours.

    :param cells: (m, 3, 3).
    """
    return np.asarray(cells * np.sign(np.linalg.det(cells))[:, None, None])


@dataclass(frozen=True)
class Group:
    """Frames of one composition.

    :param frames: (m,), indices of the frames.
    :param atoms: (m, n), for each frame the indices of its atoms, ordered by atomic number.
    :param numbers: (n,), the ordered atomic numbers, common to the frames.
    """

    frames: IntArray
    atoms: IntArray
    numbers: IntArray


class Grouping:
    """Sorts frames into groups of equal composition; remembers the last answer, which a relaxation asks for again."""

    def __init__(self) -> None:
        self._key: tuple[bytes, bytes] | None = None
        self._groups: list[Group] = []

    def __call__(self, frames: Frames) -> list[Group]:
        """Return the groups, in the order of their first frames."""
        key = (frames.numbers.tobytes(), frames.offsets.tobytes())
        if key != self._key:
            self._groups = list(_group(frames))
            self._key = key
        return self._groups


def _group(frames: Frames) -> Iterator[Group]:
    order = np.lexsort((np.arange(len(frames.numbers)), frames.numbers, frames.frame_of_atom))
    members: dict[bytes, list[int]] = {}
    for index, (start, stop) in enumerate(zip(frames.offsets[:-1], frames.offsets[1:], strict=True)):
        members.setdefault(frames.numbers[order[start:stop]].tobytes(), []).append(index)
    for indices in members.values():
        atoms = np.array([order[frames.offsets[i] : frames.offsets[i + 1]] for i in indices])
        yield Group(np.array(indices), atoms, frames.numbers[atoms[0]])


class GroupEvaluator(ABC):
    """A model that knows some elements and evaluates the frames of one composition together.

    :param path: of the model, for messages.
    :param type_map: elements of the model in the order of its types.
    :param expected: the type map that the model should have; ``None`` to accept any.
    :raises ValueError: if the model has another type map.
    """

    def __init__(self, path: Path | str, type_map: Sequence[str], expected: Sequence[str] | None) -> None:
        self.type_map = list(type_map)
        if expected is not None and list(expected) != self.type_map:
            raise ValueError(f'the model `{path}` has the type map {self.type_map}, expected {list(expected)}')
        self._types = np.full(len(chemical_symbols), -1)
        self._types[[atomic_numbers[symbol] for symbol in self.type_map]] = np.arange(len(self.type_map))
        self._grouping = Grouping()

    def evaluate(self, frames: Frames) -> Evaluation:
        """Evaluate frames; those with elements foreign to the model fail."""
        result = Evaluation.unknown(frames)
        for group in self._grouping(frames):
            types = self._types[group.numbers]
            if np.any(types < 0):
                foreign = {chemical_symbols[number] for number in group.numbers[types < 0]}
                message = f'the model knows {", ".join(self.type_map)}, not {", ".join(sorted(foreign))}'
                result.errors.update(dict.fromkeys(group.frames.tolist(), message))
            else:
                self.evaluate_group(frames, group, types, result)
        return result

    @abstractmethod
    def evaluate_group(self, frames: Frames, group: Group, types: IntArray, result: Evaluation) -> None:
        """Fill in the results of the frames of a group.

        :param types: (n,), types of the atoms in the model, in the order of ``group.numbers``.
        """
