"""Several potentials as one, with their disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.base import Evaluation, Evaluator


class Ensemble:
    """The mean of several potentials.

    :param members: at least one.
    :param mean: a potential that is their mean and costs less, if there is one.
    :raises ValueError: if there is no member.
    """

    def __init__(self, members: Sequence[Evaluator], mean: Evaluator | None = None) -> None:
        if not members:
            raise ValueError('an ensemble needs at least one potential')
        self.members, self.mean = tuple(members), mean

    def __len__(self) -> int:
        return len(self.members)

    def evaluate_mean(self, frames: Frames, apart: NDArray[np.bool_]) -> Frames:
        """Return what :meth:`evaluate` does, but for the spreads of some frames if there is a cheaper way to the mean.

        :param apart: (n_frames,), for which frames the members are evaluated apart in any case; the spreads of others
            may be NaN.
        """
        if self.mean is None or apart.all():
            return self.evaluate(frames)
        together = Ensemble([self.mean]).evaluate(frames.select(~apart))
        unknown = {'energy_spread': len(together), 'forces_spread': len(together.numbers)}
        together = together.replace(**{name: np.full(size, np.nan) for name, size in unknown.items()})
        return Frames.interleave(apart, self.evaluate(frames.select(apart)), together) if apart.any() else together

    def evaluate(self, frames: Frames) -> Frames:
        """Return the frames with energy, forces and stress, and their spread if there is more than one member.

        A frame that a member cannot evaluate has the status ``failed``, or ``unconverged`` if that is all that is
        wrong, and that member's words as the reason; the others have the status ``ok``.
        """
        evaluations = [member.evaluate(frames) for member in self.members]
        errors = _errors(evaluations)
        energy = _mean([e.energy for e in evaluations])
        forces = _mean([e.forces for e in evaluations])
        stress = _mean([e.stress for e in evaluations])
        for index in errors:
            energy[index], stress[index] = np.nan, np.nan
            forces[frames.offsets[index] : frames.offsets[index + 1]] = np.nan
        status = np.full(len(frames), str(LabelStatus.OK), dtype=object)
        status[list(errors)] = str(LabelStatus.FAILED)
        status[list(_unconverged(evaluations))] = str(LabelStatus.UNCONVERGED)
        return frames.replace(
            energy=energy,
            forces=forces,
            stress=stress,
            energy_spread=self._spread([e.energy for e in evaluations], energy),
            forces_spread=self._spread([e.forces for e in evaluations], forces),
            status=status.astype(np.str_),
            reason=np.array([errors.get(index, '') for index in range(len(frames))], dtype=np.str_),
        )

    def _spread(self, values: Sequence[np.ndarray], mean: np.ndarray) -> np.ndarray | None:
        """Return √⟨|x − ⟨x⟩|²⟩ over the members."""
        if len(self) == 1:
            return None
        squared = np.mean([(value - mean) ** 2 for value in values], axis=0)
        return np.asarray(np.sqrt(squared if squared.ndim == 1 else squared.sum(axis=-1)))


def _mean(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean; of equal values it is exactly that value, so that their spread is exactly zero."""
    return np.asarray(values[0] + np.mean([value - values[0] for value in values], axis=0))


def _errors(evaluations: Sequence[Evaluation]) -> dict[int, str]:
    errors: dict[int, str] = {}
    for number, evaluation in enumerate(evaluations):
        for index, message in evaluation.errors.items():
            errors.setdefault(index, message if len(evaluations) == 1 else f'potential {number}: {message}')
    return errors


def _unconverged(evaluations: Sequence[Evaluation]) -> set[int]:
    """Return the frames of which no member says anything worse."""
    failed = {index for evaluation in evaluations for index in set(evaluation.errors) - evaluation.unconverged}
    return set().union(*(evaluation.unconverged for evaluation in evaluations)) - failed
