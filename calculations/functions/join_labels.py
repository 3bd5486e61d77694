"""Calculation function that makes one set of frames of many labelled ones, for an ensemble to look at."""

from __future__ import annotations

import numpy as np
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.joined_labels import joined
from aiida_prospect.data.dataset import DatasetData

KEPT = ('numbers', 'offsets', 'positions', 'cells', 'origin')


@calcfunction
def join_labels(**labels: DatasetData) -> DatasetData:
    """Return the structures of all sets, in the order of their names, without labels; ``source`` counts them."""
    frames = joined(labels)
    bare = frames.without(*(set(frames.arrays()) - set(KEPT)))
    return DatasetData(bare.replace(source=np.arange(len(bare))))
