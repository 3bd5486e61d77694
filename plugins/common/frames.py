"""Any number of periodic structures, of any size and composition, as a few flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.formula import Formula
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
StrArray = NDArray[np.str_]

PER_ATOM = {'numbers': (), 'positions': (3,), 'forces': (3,), 'forces_spread': ()}
PER_FRAME = {
    'cells': (3, 3),
    'energy': (),
    'stress': (3, 3),
    'energy_spread': (),
    'energy_initial': (),
    'status': (),
    'reason': (),
    'origin': (),
    'source': (),
    'steps': (),
}
KINDS = {'numbers': 'i', 'offsets': 'i', 'source': 'i', 'steps': 'i', 'status': 'U', 'reason': 'U', 'origin': 'U'}
REQUIRED = ('numbers', 'offsets', 'positions', 'cells')
ABSENT = {'i': -1, 'f': np.nan, 'U': ''}


def _canonical(name: str, value: Any) -> NDArray[Any]:
    kind = KINDS.get(name, 'f')
    if kind == 'U':
        # The item size of a string array is part of its bytes; taking the least makes equal contents equal bytes.
        return np.array([str(item) for item in np.asarray(value).ravel()], dtype=np.str_)
    return np.ascontiguousarray(value, dtype=np.int64 if kind == 'i' else np.float64)


@dataclass(frozen=True, eq=False)
class Frames:
    """Periodic structures with what is known of them.

    Numbers that are not known for a frame are NaN, integers −1, strings empty; a field known for no frame is ``None``.

    :param numbers: (n_atoms,), atomic numbers of all frames, one after the other.
    :param offsets: (n_frames + 1,), frame ``i`` owns the atoms ``offsets[i]`` to ``offsets[i + 1] - 1``.
    :param positions: (n_atoms, 3), Cartesian, Å.
    :param cells: (n_frames, 3, 3), lattice vectors as rows, Å.
    :param energy: (n_frames,), eV.
    :param forces: (n_atoms, 3), eV/Å.
    :param stress: (n_frames, 3, 3), eV/Å³, positive under tension.
    :param energy_spread: (n_frames,), standard deviation of the energy over an ensemble, eV.
    :param forces_spread: (n_atoms,), ``√⟨|F − ⟨F⟩|²⟩`` over an ensemble, eV/Å.
    :param energy_initial: (n_frames,), energy before a relaxation with the same ensemble, eV; of a candidate and its
        label what the ensemble predicted.
    :param status: (n_frames,), a :class:`~aiida_prospect.common.enums.Choice`.
    :param reason: (n_frames,), why that status or why the frame was chosen, in words.
    :param origin: (n_frames,), name of the random crystal or trajectory that the frame descends from.
    :param source: (n_frames,), index of the frame in the set it was taken from.
    :param steps: (n_frames,), optimiser steps.
    :raises ValueError: if shapes do not fit together, an atomic number is unknown or a cell is singular.
    """

    numbers: IntArray
    offsets: IntArray
    positions: FloatArray
    cells: FloatArray
    energy: FloatArray | None = None
    forces: FloatArray | None = None
    stress: FloatArray | None = None
    energy_spread: FloatArray | None = None
    forces_spread: FloatArray | None = None
    energy_initial: FloatArray | None = None
    status: StrArray | None = None
    reason: StrArray | None = None
    origin: StrArray | None = None
    source: IntArray | None = None
    steps: IntArray | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, _canonical(field.name, value))
        self._validate()

    def _validate(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) < 1 or self.offsets[0] != 0 or np.any(np.diff(self.offsets) < 1):
            raise ValueError('`offsets` must start at 0 and increase: every frame has at least one atom')
        n_frames, n_atoms = len(self.offsets) - 1, int(self.offsets[-1])
        for names, length in ((PER_ATOM, n_atoms), (PER_FRAME, n_frames)):
            for name, inner in names.items():
                value = getattr(self, name)
                if value is not None and value.shape != (length, *inner):
                    raise ValueError(f'`{name}` has shape {value.shape}, expected {(length, *inner)}')
        if np.any(self.numbers < 1) or np.any(self.numbers >= len(chemical_symbols)):
            raise ValueError(f'`numbers` must lie between 1 and {len(chemical_symbols) - 1}')
        if not (np.all(np.isfinite(self.positions)) and np.all(np.isfinite(self.cells))):
            raise ValueError('`positions` and `cells` must be finite')
        if n_frames and np.min(self.volumes) < 1e-6:
            raise ValueError(f'the cell of frame {int(np.argmin(self.volumes))} has no volume')

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_atoms(self) -> IntArray:
        """(n_frames,), number of atoms of each frame."""
        return np.diff(self.offsets)

    @property
    def volumes(self) -> FloatArray:
        """(n_frames,), Å³."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    @property
    def frame_of_atom(self) -> IntArray:
        """(n_atoms,), index of the frame that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements present, by atomic number."""
        return tuple(chemical_symbols[number] for number in np.unique(self.numbers))

    @property
    def formulas(self) -> list[str]:
        """Chemical formula of each frame, in Hill order."""
        pieces = np.split(self.numbers, self.offsets[1:-1]) if len(self) else []
        return [Formula.from_list([chemical_symbols[n] for n in piece]).format('hill') for piece in pieces]

    @property
    def reduced_formulas(self) -> list[str]:
        """Formula unit of each frame, in Hill order."""
        return [Formula(formula).reduce()[0].format('hill') for formula in self.formulas]

    @property
    def energy_per_atom(self) -> FloatArray:
        """(n_frames,), eV.

        :raises ValueError: if no energies are known.
        """
        return self.known('energy') / self.n_atoms

    @property
    def max_force(self) -> FloatArray:
        """(n_frames,), largest norm of the force on an atom, eV/Å.

        :raises ValueError: if no forces are known.
        """
        return self.max_over_atoms(np.linalg.norm(self.known('forces'), axis=1))

    def max_over_atoms(self, values: FloatArray) -> FloatArray:
        """Return the (n_frames,) maxima of (n_atoms,) values."""
        return np.maximum.reduceat(values, self.offsets[:-1]) if len(self) else np.empty(0)

    def known(self, name: str) -> NDArray[Any]:
        """Return a field.

        :raises ValueError: if it is not known.
        """
        value = getattr(self, name)
        if value is None:
            raise ValueError(f'the frames have no `{name}`')
        return np.asarray(value)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all fields that are known, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def replace(self, **changes: Any) -> Frames:
        """Return a copy with other fields; ``None`` forgets one."""
        return replace(self, **changes)

    def without(self, *names: str) -> Frames:
        """Return a copy that has forgotten some fields."""
        return self.replace(**dict.fromkeys(names))

    def select(self, indices: Iterable[int] | NDArray[Any]) -> Frames:
        """Return some frames, in the order asked for.

        :param indices: (m,) integers, or an (n_frames,) boolean mask.
        """
        chosen = np.asarray(list(indices) if not isinstance(indices, np.ndarray) else indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        chosen = np.arange(len(self))[chosen]
        lengths = self.n_atoms[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        atoms = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        arrays = {name: value[atoms if name in PER_ATOM else chosen] for name, value in self._data().items()}
        return Frames(offsets=offsets, **arrays)

    def _data(self) -> dict[str, NDArray[Any]]:
        return {name: value for name, value in self.arrays().items() if name != 'offsets'}

    def __getitem__(self, index: int) -> Frames:
        return self.select([index])

    def equals(self, other: Frames) -> bool:
        """Tell whether all fields are the same to the last bit; NaN equals NaN."""
        mine, theirs = self.arrays(), other.arrays()
        return mine.keys() == theirs.keys() and all(
            np.array_equal(mine[k], theirs[k], equal_nan=KINDS.get(k, 'f') == 'f') for k in mine
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Frames]) -> Frames:
        """Join sets of frames; a field that only some of them know is filled up with "not known"."""
        names = {name for part in parts for name in part.arrays()} - {'offsets'}
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([[], *(part.n_atoms for part in parts)]))])
        joined = {name: np.concatenate([part._filled(name) for part in parts]) for name in sorted(names)}
        return cls(offsets=offsets.astype(np.int64), **joined) if joined else cls.empty()

    @classmethod
    def interleave(cls, mask: NDArray[np.bool_], chosen: Frames, others: Frames) -> Frames:
        """Join two sets of frames, those of the first where the (n_frames,) mask is true.

        It undoes ``frames.select(mask)`` and ``frames.select(~mask)``.
        """
        places = np.argsort(np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)]))
        return cls.concatenate([chosen, others]).select(places)

    def _filled(self, name: str) -> NDArray[Any]:
        value = getattr(self, name)
        if value is not None:
            return np.asarray(value)
        shape = (len(self.numbers), *PER_ATOM[name]) if name in PER_ATOM else (len(self), *PER_FRAME[name])
        return np.full(shape, ABSENT[KINDS.get(name, 'f')])

    @classmethod
    def empty(cls) -> Frames:
        """Return a set of no frames."""
        return cls(np.empty(0, int), np.zeros(1, int), np.empty((0, 3)), np.empty((0, 3, 3)))

    @classmethod
    def from_atoms(cls, structures: Sequence[Atoms], **known: Any) -> Frames:
        """Take over structures of ASE, without what their calculators know.

        :param known: further fields, see the class.
        """
        if not structures:
            return cls.empty()
        offsets = np.concatenate([[0], np.cumsum([len(atoms) for atoms in structures])])
        return cls(
            numbers=np.concatenate([atoms.numbers for atoms in structures]),
            offsets=offsets,
            positions=np.concatenate([atoms.positions for atoms in structures]),
            cells=np.array([atoms.cell.array for atoms in structures]),
            **known,
        )

    def to_atoms(self) -> list[Atoms]:
        """Return periodic structures of ASE, without calculators."""
        return [
            Atoms(numbers=self.numbers[a:b], positions=self.positions[a:b], cell=cell, pbc=True)
            for a, b, cell in zip(self.offsets[:-1], self.offsets[1:], self.cells, strict=True)
        ]

    def save(self, path: Path | str) -> None:
        """Write all fields to an ``.npz`` file."""
        arrays: Mapping[str, Any] = self.arrays()
        with open(path, 'wb') as handle:
            np.savez(handle, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Frames:
        """Read what :meth:`save` wrote.

        :raises ValueError: if the file holds arrays of other names or lacks required ones.
        """
        with np.load(path, allow_pickle=False) as stored:
            return cls.from_arrays(dict(stored))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Frames:
        """Make frames of named arrays.

        :raises ValueError: if there are arrays of other names or required ones are missing.
        """
        unknown = set(arrays) - {f.name for f in fields(cls)}
        missing = set(REQUIRED) - set(arrays)
        if unknown or missing:
            raise ValueError(f'unknown arrays: {sorted(unknown) or "none"}; missing: {sorted(missing) or "none"}')
        return cls(**arrays)
