"""Calculation function that takes what a job was too short for."""

from __future__ import annotations

import numpy as np
from aiida.engine import calcfunction

from aiida_prospect.calculations.runners.evaluate import NOT_REACHED
from aiida_prospect.data.dataset import DatasetData


@calcfunction
def take_unreached(evaluated: DatasetData) -> DatasetData:
    """Return the frames that a job ended before; ``source`` still tells where they come from.

    :raises ValueError: if there are none.
    """
    frames = evaluated.frames
    missing = np.flatnonzero(frames.known('reason') == NOT_REACHED)
    if not len(missing):
        raise ValueError('all frames have been evaluated')
    keep = ('numbers', 'offsets', 'positions', 'cells', 'origin', 'source')
    forget = set(frames.arrays()) - set(keep)
    return DatasetData(frames.without(*forget).select(missing))
