"""Division of labelled frames into training and validation sets."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames

FEWEST_ORIGINS = 5


def split_by_origin(frames: Frames, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose frames for validation, so that no random crystal or trajectory has frames on both sides.

    Each origin is drawn by itself: the number that the hash of its name gives is compared with the fraction. So an
    origin stays on its side when others are added, and a potential that goes on from an earlier one is hardly ever
    validated on what that was trained on. If none is drawn, the one with the lowest number is taken; frames without an
    origin are origins of their own. Of fewer than five origins none can be spared.

    :param fraction: expected share of the origins.
    :return: (n_frames,), true for validation.
    :raises ValueError: if the fraction is not between 0 and 1.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f'the fraction of validation frames is {fraction}, expected a number from 0 to below 1')
    names = _origins(frames)
    distinct, inverse = np.unique(names, return_inverse=True)
    if fraction == 0 or len(distinct) < FEWEST_ORIGINS:
        return np.zeros(len(frames), bool)
    drawn = np.array([_number(name, seed) for name in distinct])
    chosen = drawn < fraction
    # Where many are drawn by chance, half must remain.
    chosen &= drawn <= np.sort(drawn)[len(drawn) // 2 - 1]
    if not chosen.any():
        chosen[np.argmin(drawn)] = True
    return np.asarray(chosen[inverse])


def _origins(frames: Frames) -> list[str]:
    given = [''] * len(frames) if frames.origin is None else frames.origin.tolist()
    positions = np.split(frames.positions, frames.offsets[1:-1]) if len(frames) else []
    return [name or hashlib.sha256(place.tobytes()).hexdigest() for name, place in zip(given, positions, strict=True)]


def _number(name: str, seed: int) -> float:
    digest = hashlib.sha256(f'{seed}:{name}'.encode()).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64
