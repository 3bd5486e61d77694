"""Evaluation of force fields of proper orthogonal descriptors by LAMMPS."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.base import Evaluation, Evaluator, Group, GroupEvaluator, IntArray
from aiida_prospect.methods.lammps_box import LammpsBox, LammpsError, Oriented
from aiida_prospect.methods.pod_model import PodModel

BOXES_KEPT = 16


class PodEvaluator(GroupEvaluator):
    """A force field of ML-POD, one live instance of LAMMPS per composition.

    :param model: or the path of what :meth:`~aiida_prospect.methods.pod_model.PodModel.save` wrote.
    :param type_map: elements that the model is expected to have, in its order; ``None`` to accept any.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is no model or has another type map.
    """

    def __init__(self, model: PodModel | Path | str, *, type_map: Sequence[str] | None = None) -> None:
        self.model = model if isinstance(model, PodModel) else PodModel.load(model)
        super().__init__('of ML-POD' if isinstance(model, PodModel) else model, self.model.type_map, type_map)
        self._folder = TemporaryDirectory(prefix='pod-')
        self.model.extract(Path(self._folder.name))
        self._commands = self.model.commands(self._folder.name)
        self._boxes: OrderedDict[bytes, LammpsBox] = OrderedDict()

    def evaluate_group(self, frames: Frames, group: Group, types: IntArray, result: Evaluation) -> None:
        """Evaluate a group frame by frame."""
        oriented = Oriented.of(frames.cells[group.frames], frames.positions[group.atoms])
        for row, index in enumerate(group.frames.tolist()):
            try:
                box = self._box(group.numbers.tobytes(), types)
                energy, forces, stress = box.calculate(oriented.boxes[row], oriented.positions[row])
            except LammpsError as exception:
                self._boxes.pop(group.numbers.tobytes()).close()
                result.errors[index] = str(exception)
                continue
            if not (np.isfinite(energy) and np.all(np.isfinite(forces)) and np.all(np.isfinite(stress))):
                result.errors[index] = 'the model gives no finite numbers'
                continue
            back = oriented.rotations[row].T
            result.energy[index] = energy
            result.forces[group.atoms[row]] = forces @ back
            result.stress[index] = back.T @ stress @ back

    def _box(self, key: bytes, types: IntArray) -> LammpsBox:
        if key not in self._boxes:
            if len(self._boxes) >= BOXES_KEPT:
                self._boxes.popitem(last=False)[1].close()
            self._boxes[key] = LammpsBox(self.type_map, types, self._commands)
        self._boxes.move_to_end(key)
        return self._boxes[key]


def mean_of(members: Sequence[Evaluator]) -> PodEvaluator | None:
    """Return one potential that is the mean of several, for the cost of one.

    Models of ML-POD are linear in their coefficients, so of those with the same descriptor the mean is another one.

    :return: ``None`` if the members are no such models, or a single one.
    """
    models = [member.model for member in members if isinstance(member, PodEvaluator)]
    mean = PodModel.mean(models) if len(models) == len(members) > 1 else None
    return None if mean is None else PodEvaluator(mean)
