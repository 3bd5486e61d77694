"""Screening of labelled frames before a training."""

from __future__ import annotations

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.cleaning import clean


@calcfunction
def clean_labels(parameters: Dict, **labels: DatasetData) -> Dict:
    """Tell which frames of labelled sets must not be trained on; all sets are judged together.

    :param parameters: thresholds, see :func:`~aiida_prospect.methods.cleaning.clean`.
    :return: ``rejected``: for each set the reasons by index of the frame; ``n_frames`` of each set; ``n_accepted`` of
        all.
    """
    names = sorted(labels)
    reasons = clean(Frames.concatenate([labels[name].frames for name in names]), parameters.get_dict())
    ends = np.cumsum([len(labels[name]) for name in names])
    starts = ends - [len(labels[name]) for name in names]
    rejected = {
        name: {str(i): reason for i, reason in enumerate(reasons[start:end]) if reason}
        for name, start, end in zip(names, starts, ends, strict=True)
    }
    return Dict(
        {
            'rejected': rejected,
            'n_frames': {name: len(labels[name]) for name in names},
            'n_accepted': reasons.count(''),
        }
    )
