"""Evaluation by DeePMD-kit, many frames in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import stress_from_virial
from aiida_prospect.methods.evaluators.base import (
    Evaluation,
    FloatArray,
    Group,
    GroupEvaluator,
    IntArray,
    right_handed,
)
from aiida_prospect.methods.evaluators.batches import OUT_OF_MEMORY, Batches
from aiida_prospect.methods.evaluators.deepmd_engines import Engine, find_engine
from aiida_prospect.methods.evaluators.neighbours import Neighbourhoods

# Throughput of a frozen model has levelled off here, and an uncompressed descriptor still fits into one GB.
ATOMS_PER_CALL = 1024
# Where it levels off on a graphics processor; where memory does not suffice, batches become smaller.
ATOMS_PER_CALL_CUDA = 65536
PYTORCH_SUFFIX = '.pth'
IMAGES_TOGETHER = 3.0
NOT_FINITE = 'the model gives no finite numbers'


class DeepmdEvaluator(GroupEvaluator):
    """A frozen model of DeePMD-kit; which of its backends runs follows from the ending of the file.

    :param path: of the model, ``.pb`` for TensorFlow, ``.pth`` for PyTorch.
    :param type_map: elements that the model is expected to have, in its order; ``None`` to accept any.
    :param atoms_per_call: evaluated at once, fewer where memory does not suffice; the environment variable
        ``DP_INFER_BATCH_SIZE`` takes precedence.
    :param neighbourhoods: shared with the other members of an ensemble.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the model has another type map.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        type_map: Sequence[str] | None = None,
        atoms_per_call: int | None = None,
        neighbourhoods: Neighbourhoods | None = None,
    ) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f'no model file `{path}`')
        self._same_images = Path(path).suffix == PYTORCH_SUFFIX
        self._model: Any = _load(str(path), atoms_per_call or ATOMS_PER_CALL)
        super().__init__(path, self._model.get_type_map(), type_map)
        self._cutoff = float(self._model.get_rcut())
        self._neighbours = (neighbourhoods or Neighbourhoods())(self._cutoff)
        self._engine: Engine | None = find_engine(self._model, pytorch=self._same_images)
        default = ATOMS_PER_CALL_CUDA if self._same_images and _on_cuda() else ATOMS_PER_CALL
        self._batches = Batches(int(os.environ.get('DP_INFER_BATCH_SIZE', atoms_per_call or default)))

    def evaluate(self, frames: Frames) -> Evaluation:
        """Evaluate frames of any compositions together; those with elements foreign to the model fail."""
        types = self._types[frames.numbers]
        if self._engine is None or not len(frames) or np.any(types < 0):
            return super().evaluate(frames)
        result = Evaluation.unknown(frames)
        for index in self._batches.run(frames.n_atoms, lambda a, b: self._evaluate_crowd(frames, types, a, b, result)):
            result.errors[index] = OUT_OF_MEMORY
        return result

    def _evaluate_crowd(self, frames: Frames, types: IntArray, start: int, stop: int, result: Evaluation) -> None:
        assert self._engine is not None
        rows, atoms = slice(start, stop), slice(frames.offsets[start], frames.offsets[stop])
        # The same object is what other members are going to ask for.
        part = frames if stop - start == len(frames) else frames.select(np.arange(start, stop))
        crowd = self._neighbours(part)
        energies, forces = self._engine(crowd, types[atoms])
        on_atoms, virial = crowd.gather(forces)
        energy = np.bincount(part.frame_of_atom, energies, len(part))
        result.energy[rows], result.forces[atoms] = energy, on_atoms
        result.stress[rows] = stress_from_virial(virial, part.volumes)
        finite = np.isfinite(energy) & np.isfinite(virial).all(axis=(1, 2))
        finite &= np.logical_and.reduceat(np.isfinite(on_atoms).all(axis=1), part.offsets[:-1])
        result.errors.update(dict.fromkeys((start + np.flatnonzero(~finite)).tolist(), NOT_FINITE))

    def evaluate_group(self, frames: Frames, group: Group, types: IntArray, result: Evaluation) -> None:
        """Evaluate a group in one call, or in a few, with the neighbours that DeePMD-kit finds."""
        cells, heights = upright(frames.cells[group.frames])
        for rows in self._calls(heights):
            part = Group(group.frames[rows], group.atoms[rows], group.numbers)
            self._call(frames, part, cells[rows], types, result)

    def _calls(self, heights: FloatArray) -> list[IntArray]:
        """Return which frames to evaluate in one call.

        The PyTorch backend gives each frame of a call as many periodic images as the one that needs most.
        """
        if not self._same_images:
            return [np.arange(len(heights))]
        images = np.prod(2 * np.ceil(self._cutoff / heights) + 1, axis=1)
        order = np.argsort(images, kind='stable')
        calls, start = [], 0
        for stop in range(1, len(order) + 1):
            if stop == len(order) or images[order[stop]] > IMAGES_TOGETHER * images[order[start]]:
                calls.append(order[start:stop])
                start = stop
        return calls

    def _call(self, frames: Frames, group: Group, cells: FloatArray, types: IntArray, result: Evaluation) -> None:
        coordinates = frames.positions[group.atoms]
        energy, forces, virial = self._model.eval(
            coordinates.reshape(len(cells), -1), cells.reshape(len(cells), 9), types.tolist()
        )
        virial = virial.reshape(-1, 3, 3)
        virial = (virial + virial.transpose(0, 2, 1)) / 2
        result.energy[group.frames] = energy[:, 0]
        result.forces[group.atoms] = forces
        result.stress[group.frames] = stress_from_virial(virial, np.abs(np.linalg.det(cells)))
        finite = np.isfinite(energy[:, 0]) & np.isfinite(forces).all(axis=(1, 2)) & np.isfinite(virial).all(axis=(1, 2))
        result.errors.update(dict.fromkeys(group.frames[~finite].tolist(), NOT_FINITE))


def _load(path: str, atoms_per_call: int) -> Any:
    # One thread per model unless the user says otherwise: on a shared node more threads are slower by a factor.
    for variable in ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS'):
        os.environ.setdefault(variable, '1')
    from deepmd.infer import DeepPot

    # For small cells in large batches the dense neighbour list is the fastest; by default each frame gets its own.
    native = {'nlist_backend': 'native'} if path.endswith(PYTORCH_SUFFIX) else {}
    return DeepPot(path, auto_batch_size=atoms_per_call, **native)


def _on_cuda() -> bool:
    from deepmd.pt.utils.env import DEVICE

    return bool(DEVICE.type == 'cuda')


def upright(cells: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return right-handed cells of the same lattices whose first faces are the farthest apart.

    :param cells: (m, 3, 3), Å.
    :return: cells, and (m, 3) distances of opposite faces, Å.
    """
    normals = np.cross(np.roll(cells, -1, axis=1), np.roll(cells, -2, axis=1))
    heights = np.abs(np.linalg.det(cells))[:, None] / np.linalg.norm(normals, axis=2)
    order = np.argsort(-heights, axis=1, kind='stable')
    turned = right_handed(np.take_along_axis(cells, order[:, :, None], axis=1))
    return turned, np.take_along_axis(heights, order, axis=1)
