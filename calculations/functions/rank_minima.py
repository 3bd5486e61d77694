"""Calculation function that makes the result of a search."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.structures import frames_of
from aiida_prospect.methods import minima
from aiida_prospect.methods.matching import MatchSettings


@calcfunction
def rank_minima(
    relaxed: DatasetData, parameters: orm.Dict, **references: orm.StructureData | DatasetData
) -> dict[str, orm.Data]:
    """Find, rank and analyse the distinct minima, see :func:`aiida_prospect.methods.minima.rank_minima`.

    :param parameters: of :class:`~aiida_prospect.methods.matching.MatchSettings`.
    :param references: by name; the frames of a dataset become ``name_0``, ``name_1`` and so on.
    :return: ``minima``, a dataset, and ``report``.
    """
    settings = MatchSettings.from_dict(parameters.get_dict())
    found, report = minima.rank_minima(relaxed.frames, _by_name(references), settings)
    return {'minima': DatasetData(found), 'report': orm.Dict(report)}


def _by_name(references: Mapping[str, orm.StructureData | DatasetData]) -> dict[str, Frames]:
    named: dict[str, Frames] = {}
    for name in sorted(references):
        frames = frames_of(references[name])
        named |= {name if len(frames) == 1 else f'{name}_{i}': frames[i] for i in range(len(frames))}
    return named
