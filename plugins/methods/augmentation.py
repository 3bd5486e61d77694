"""Noise on training structures."""

from __future__ import annotations

import numpy as np

from aiida_prospect.common.frames import Frames


def displace(frames: Frames, share: float, displacement: float, rng: np.random.Generator) -> Frames:
    """Displace the atoms of some frames and keep their labels, save that the energy follows the forces to first order.

    Cheon et al. (2023) displaced a third of their training structures by 0.03 Å, which improved forces and relaxations.

    :param share: of the frames, from 0 to 1.
    :param displacement: standard deviation along each axis, Å.
    :raises ValueError: if the share is not between 0 and 1 or the displacement is negative.
    """
    if not 0 <= share <= 1 or displacement < 0:
        raise ValueError(f'share {share} and displacement {displacement} Å: expected 0 ≤ share ≤ 1, displacement ≥ 0')
    chosen = rng.permutation(len(frames)) < round(share * len(frames))
    of_atom = np.repeat(chosen, frames.n_atoms)
    shift = np.where(of_atom[:, None], rng.normal(0, displacement, frames.positions.shape), 0)
    work = np.bincount(
        frames.frame_of_atom, weights=np.sum(frames.known('forces') * shift, axis=1), minlength=len(frames)
    )
    return frames.replace(positions=frames.positions + shift, energy=frames.known('energy') - work)
