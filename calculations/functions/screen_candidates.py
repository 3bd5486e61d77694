"""Calculation function that keeps hopeless structures from the reference method."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import accepted, screen
from aiida_prospect.methods.prechecks import Prechecks


@calcfunction
def screen_candidates(candidates: DatasetData, prechecks: orm.Dict) -> dict[str, DatasetData]:
    """Return all candidates with the status of those that are rejected, and apart those that are accepted, if any.

    :param prechecks: fields of :class:`~aiida_prospect.methods.prechecks.Prechecks`.
    """
    screened = screen(candidates.frames, Prechecks.from_mapping(prechecks.get_dict()))
    passed = accepted(screened)
    outputs = {'screened': DatasetData(screened)}
    return {**outputs, 'accepted': DatasetData(passed)} if len(passed) else outputs
