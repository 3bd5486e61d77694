"""From labelled sets of frames to what a training sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.augmentation import displace
from aiida_prospect.methods.splitting import split_by_origin

LABELS = ('energy', 'forces', 'stress', 'origin')


def usable(frames: Frames) -> NDArray[np.bool_]:
    """Tell which frames have a finite energy, finite forces and, where there is a status, the status ``ok``."""
    mask = np.ones(len(frames), bool)
    if frames.status is not None:
        mask &= frames.status == LabelStatus.OK.value
    mask &= np.isfinite(frames.energy) if frames.energy is not None else False
    if frames.forces is None:
        return np.zeros(len(frames), bool)
    return mask & np.logical_and.reduceat(np.isfinite(frames.forces).all(axis=1), frames.offsets[:-1])


def gather(datasets: Mapping[str, Frames], rejected: Mapping[str, Iterable[int]] | None = None) -> Frames:
    """Join the usable frames of all sets in the order of their names, without what a training does not need.

    :param rejected: indices of frames to leave out, by set.
    """
    parts = []
    for name in sorted(datasets):
        frames = datasets[name]
        mask = usable(frames) if len(frames) else np.zeros(0, bool)
        mask[list((rejected or {}).get(name, ()))] = False
        kept = frames.select(mask)
        parts.append(kept.without(*(set(kept.arrays()) - {'numbers', 'offsets', 'positions', 'cells', *LABELS})))
    return Frames.concatenate(parts)


def divide(frames: Frames, parameters: Mapping[str, Any], seed: int) -> tuple[Frames, Frames | None]:
    """Return training and validation frames.

    :param parameters: ``validation`` with ``fraction`` and ``seed``, and ``augmentation`` with ``share`` and
        ``displacement`` (Å), each absent or null for none.
    :param seed: of the noise; the validation frames have their own, so that the members of an ensemble share them.
    """
    validation = parameters.get('validation')
    held_back: NDArray[np.bool_] = np.zeros(len(frames), bool)
    if validation:
        held_back = split_by_origin(frames, validation['fraction'], validation['seed'])
    training = frames.select(~held_back)
    if parameters.get('augmentation'):
        training = displace(training, **parameters['augmentation'], rng=np.random.default_rng(seed))
    return training, frames.select(held_back) if held_back.any() else None
