"""Any number of frames in one node."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.orm import ArrayData
from ase.data import chemical_symbols
from ase.formula import Formula

from aiida_prospect.common.frames import KINDS, REQUIRED, Frames
from aiida_prospect.methods.formats import read_frames, write_frames

MAX_FORMULAS = 50


class DatasetData(ArrayData):
    """Any number of structures in one node, with what is known of them: one array per field.

    An array that two nodes share, as the positions of candidates and of their labels, takes space only once.
    Frames that are equal, with NaN equal to NaN and −0 to 0, hash equal.

    Attributes, besides the shapes of the arrays: ``n_frames``, ``n_atoms`` (of all frames), ``elements``, ``known``
    and ``formulas``, which counts the frames of each composition, the most frequent fifty.

    :param frames: what to hold.
    :raises ValueError: if the arrays of the frames were changed so that they fit together no more.
    """

    def __init__(self, frames: Frames, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.set_frames(frames)

    def initialize(self) -> None:
        """Begin with nothing cached."""
        super().initialize()
        self._frames: Frames | None = None

    def set_frames(self, frames: Frames) -> None:
        """Replace what the node holds.

        :raises TypeError: if these are no frames.
        :raises ValueError: see the class.
        :raises ModificationNotAllowed: if the node is stored.
        """
        if self.is_stored:
            raise ModificationNotAllowed('the node is stored: its frames cannot be changed')
        if not isinstance(frames, Frames):
            raise TypeError(f'`frames` is a {type(frames).__name__}, expected `Frames`')
        arrays = {name: _canonical(name, value) for name, value in frames.arrays().items()}
        valid = Frames.from_arrays(arrays)
        for name in set(self.get_arraynames()) - set(arrays):
            self.delete_array(name)
        for name, value in arrays.items():
            self.set_array(name, value)
        self.base.attributes.set_many(_summary(valid))

    @property
    def frames(self) -> Frames:
        """The frames, in arrays that cannot be written to; read once from a node that is stored."""
        if self._frames is not None:
            return self._frames
        frames = self._read()
        if self.is_stored:
            self._frames = frames
        return frames

    def _read(self) -> Frames:
        names = self.get_arraynames()
        arrays = self._read_together(names) if self.is_stored else {name: self.get_array(name) for name in names}
        frames = Frames.from_arrays(arrays)
        for value in frames.arrays().values():
            value.flags.writeable = False
        return frames

    def _read_together(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Read arrays with one query to the repository; one by one, each takes several."""
        keys = {name: self.base.repository.get_object(f'{name}.npy').key for name in names}
        # Arrays of equal bytes share an object.
        streams = self.backend.get_repository().iter_object_streams(sorted({key for key in keys.values() if key}))
        objects = {key: np.load(io.BytesIO(stream.read()), allow_pickle=False) for key, stream in streams}
        return {name: objects[key] for name, key in keys.items()}

    def clear_internal_cache(self) -> None:
        """Forget what was read from the repository."""
        super().clear_internal_cache()
        self._frames = None

    def __len__(self) -> int:
        return int(self.base.attributes.get('n_frames'))

    def __bool__(self) -> bool:
        return True

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements present, by atomic number; does not read the arrays."""
        return tuple(self.base.attributes.get('elements'))

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the optional fields that are known; does not read the arrays."""
        return tuple(self.base.attributes.get('known'))

    def _validate(self) -> bool:
        """Check that the arrays in the repository are those of valid frames and are what the attributes tell.

        :raises ValidationError: with what does not fit.
        """
        super()._validate()
        names, objects = self.get_arraynames(), self.base.repository.list_object_names()
        if set(objects) != {f'{name}.npy' for name in names}:
            raise ValidationError(f'the repository holds {sorted(objects)}, expected the arrays {sorted(names)} only')
        try:
            arrays = {name: self.get_array(name) for name in names}
            frames = Frames.from_arrays(arrays)
        except (ValueError, TypeError, EOFError, OSError) as exception:
            raise ValidationError(f'the arrays do not make frames: {exception}') from exception
        for name, value in frames.arrays().items():
            if arrays[name].dtype != value.dtype or value.shape != self.get_shape(name):
                raise ValidationError(
                    f'array `{name}` is of type {arrays[name].dtype} and shape {arrays[name].shape}, expected '
                    f'{value.dtype} and {self.get_shape(name)}'
                )
        for key, value in _summary(frames).items():
            if self.base.attributes.get(key, None) != value:
                raise ValidationError(f'attribute `{key}` is {self.base.attributes.get(key, None)}, expected {value}')
        return True

    @classmethod
    def from_file(
        cls, path: Path | str, format: str | None = None, type_map: Sequence[str] | None = None
    ) -> DatasetData:
        """Return a new node with the frames in a file, see :func:`~aiida_prospect.methods.formats.read_frames`."""
        return cls(read_frames(path, format, type_map))

    def export(
        self,
        path: Path | str,
        fileformat: str | None = None,
        overwrite: bool = False,
        type_map: Sequence[str] | None = None,
    ) -> list[str]:
        """Write the frames to a file, see :func:`~aiida_prospect.methods.formats.write_frames`.

        :param overwrite: replace a file; a folder is never replaced.
        :return: the path.
        """
        target = Path(path)
        if overwrite and target.is_file():
            target.unlink()
        write_frames(self.frames, target, fileformat, type_map)
        return [str(target)]


def _canonical(name: str, value: np.ndarray) -> np.ndarray:
    if KINDS.get(name, 'f') != 'f':
        return value
    # Of NaN and of zero there are several bit patterns that compare equal.
    clean = value + 0.0
    clean[np.isnan(clean)] = np.nan
    return clean


def _summary(frames: Frames) -> dict[str, Any]:
    return {
        'n_frames': len(frames),
        'n_atoms': len(frames.numbers),
        'elements': list(frames.elements),
        'known': sorted(set(frames.arrays()) - set(REQUIRED)),
        'formulas': _count_formulas(frames),
    }


def _count_formulas(frames: Frames) -> dict[str, int]:
    kinds, of_atom = np.unique(frames.numbers, return_inverse=True)
    composition = np.zeros((len(frames), len(kinds)), dtype=np.int64)
    np.add.at(composition, (frames.frame_of_atom, of_atom), 1)
    distinct, counts = np.unique(composition, axis=0, return_counts=True)
    symbols = [chemical_symbols[number] for number in kinds]
    return {
        Formula.from_dict(dict(zip(symbols, distinct[i].tolist(), strict=True))).format('hill'): int(counts[i])
        for i in np.argsort(-counts, kind='stable')[:MAX_FORMULAS]
    }
