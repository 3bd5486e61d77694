"""The state of a relaxation of many structures: what is known of each, and where those in flight are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.relaxation.optimisers import PER_ATOM, Optimiser
from aiida_prospect.methods.relaxation.vectors import FloatArray, IntArray, Vectors

FIELDS_PER_ATOM = ('numbers', 'rows', 'coordinates')
MEMORY = 'memory_'


@dataclass
class Flight:
    """The structures that advance together.

    :param index: (m,), which frames they are.
    :param n_atoms: (m,).
    :param reference: (m, 3, 3), cells at the start, Å.
    :param deformation: (m, 3, 3), deformation gradients F.
    :param steps: (m,), made so far.
    :param lowest: (m,), lowest enthalpy so far, eV.
    :param lowest_step: (m,), the step at which it was met.
    :param numbers: (n,), atomic numbers.
    :param rows: (n,), which atoms of all frames they are.
    :param coordinates: (n, 3), positions in the undeformed cells, Å.
    :param memory: what the optimiser knows, see :data:`~aiida_prospect.methods.relaxation.optimisers.Memory`.
    """

    index: IntArray
    n_atoms: IntArray
    reference: FloatArray
    deformation: FloatArray
    steps: IntArray
    lowest: FloatArray
    lowest_step: IntArray
    numbers: IntArray
    rows: IntArray
    coordinates: FloatArray
    memory: dict[str, NDArray[Any]]

    @classmethod
    def start(cls, frames: Frames, indices: IntArray, optimiser: Optimiser) -> Flight:
        """Put structures at rest into a flight of their own."""
        chosen = frames.select(indices)
        size = len(chosen)
        rows = [np.arange(frames.offsets[i], frames.offsets[i + 1]) for i in indices]
        return cls(
            index=np.asarray(indices, dtype=np.int64),
            n_atoms=chosen.n_atoms,
            reference=chosen.cells,
            deformation=np.tile(np.eye(3), (size, 1, 1)),
            steps=np.zeros(size, dtype=np.int64),
            lowest=np.full(size, np.inf),
            lowest_step=np.zeros(size, dtype=np.int64),
            numbers=chosen.numbers,
            rows=np.concatenate([np.empty(0, dtype=np.int64), *rows]),
            coordinates=chosen.positions,
            memory=optimiser.start(chosen.n_atoms),
        )

    def __len__(self) -> int:
        return len(self.index)

    @property
    def offsets(self) -> IntArray:
        """(m + 1,), as of :class:`~aiida_prospect.common.frames.Frames`."""
        return np.concatenate([[0], np.cumsum(self.n_atoms)]).astype(np.int64)

    @property
    def owner(self) -> IntArray:
        """(n,), the structure that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    @property
    def cells(self) -> FloatArray:
        """(m, 3, 3), present cells, Å."""
        return np.asarray(self.reference @ self.deformation.transpose(0, 2, 1))

    @property
    def positions(self) -> FloatArray:
        """(n, 3), present positions, Å."""
        return np.einsum('ai,aji->aj', self.coordinates, self.deformation[self.owner])

    def move(self, step: Vectors, memory: dict[str, NDArray[Any]]) -> None:
        """Make a step."""
        self.coordinates = self.coordinates + step.atoms
        self.deformation = self.deformation + step.cell / self.n_atoms[:, None, None]
        self.memory = memory
        self.steps = self.steps + 1

    def take(self, mask: NDArray[np.bool_]) -> Flight:
        """Return some of the structures."""
        atoms = np.repeat(mask, self.n_atoms)
        return Flight.of({name: value[atoms if _per_atom(name) else mask] for name, value in self.arrays().items()})

    def join(self, other: Flight) -> Flight:
        """Return both flights as one."""
        theirs = other.arrays()
        return Flight.of({name: np.concatenate([value, theirs[name]]) for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != 'memory'}
        return plain | {f'{MEMORY}{name}': value for name, value in self.memory.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Flight:
        """Make a flight of what :meth:`arrays` gave."""
        memory = {name.removeprefix(MEMORY): value for name, value in arrays.items() if name.startswith(MEMORY)}
        return cls(**{name: value for name, value in arrays.items() if not name.startswith(MEMORY)}, memory=memory)


def _per_atom(name: str) -> bool:
    return name in FIELDS_PER_ATOM or name.startswith(f'{MEMORY}{PER_ATOM}')


class Results:
    """What is known of each frame so far: the best geometry met, as an array per field of a set of frames.

    :param frames: before the relaxation.
    """

    def __init__(self, frames: Frames, *, spread: bool) -> None:
        size, n_atoms = len(frames), len(frames.numbers)
        self.initial = frames.without('energy_spread', 'forces_spread')
        self.arrays: dict[str, NDArray[Any]] = {
            'positions': frames.positions.copy(),
            'cells': frames.cells.copy(),
            'energy': np.full(size, np.nan),
            'forces': np.full((n_atoms, 3), np.nan),
            'stress': np.full((size, 3, 3), np.nan),
            'energy_initial': np.full(size, np.nan),
            'steps': np.zeros(size, dtype=np.int64),
            'status': np.full(size, RelaxStatus.UNFINISHED.value, dtype='<U16'),
            'reason': np.full(size, '', dtype=object),
        }
        if spread:
            self.arrays |= {'energy_spread': np.full(size, np.nan), 'forces_spread': np.full(n_atoms, np.nan)}

    def improve(self, mask: NDArray[np.bool_], flight: Flight, evaluated: Frames) -> None:
        """Keep the present geometries of some structures in flight as their best."""
        index, atoms = flight.index[mask], np.repeat(mask, flight.n_atoms)
        for name in ('cells', 'energy', 'stress', 'energy_spread'):
            if name in self.arrays:
                self.arrays[name][index] = evaluated.known(name)[mask]
        for name in ('positions', 'forces', 'forces_spread'):
            if name in self.arrays:
                self.arrays[name][flight.rows[atoms]] = evaluated.known(name)[atoms]

    def finish(self, index: int, status: RelaxStatus, reason: str) -> None:
        """Note how the relaxation of a frame ended."""
        self.arrays['status'][index] = status.value
        self.arrays['reason'][index] = reason

    @property
    def finished(self) -> NDArray[np.bool_]:
        """(n_frames,), whether the relaxation of the frame has ended."""
        return np.asarray(self.arrays['status'] != RelaxStatus.UNFINISHED.value)

    def frames(self) -> Frames:
        """Return all frames in their order; those whose relaxation has not ended say so."""
        reason = np.where(self.finished, self.arrays['reason'], 'the job ended before the relaxation')
        return self.initial.replace(**(self.arrays | {'reason': reason}))

    def stored(self) -> dict[str, NDArray[Any]]:
        """Return the arrays as a file can hold them."""
        return self.arrays | {'reason': self.arrays['reason'].astype(np.str_)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`stored` gave."""
        self.arrays = dict(arrays) | {'reason': arrays['reason'].astype(object)}


def write_atomically(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` file so that at any moment either the old or the new one is there, whole."""
    temporary = path.with_name(f'.{path.name}.new')
    named: dict[str, Any] = dict(arrays)
    with temporary.open('wb') as handle:
        np.savez(handle, **named)
    os.replace(temporary, path)
