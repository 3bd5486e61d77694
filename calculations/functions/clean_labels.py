"""Screening of labelled frames before a training."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_prospect.calculations.functions.joined_labels import frames_by_name
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.cleaning import clean_sets


@calcfunction
def clean_labels(parameters: Dict, **labels: DatasetData) -> Dict:
    """Tell which frames of labelled sets must not be trained on, see :func:`~.methods.cleaning.clean_sets`.

    :param parameters: thresholds.
    """
    return Dict(clean_sets(frames_by_name(labels), parameters.get_dict()))
