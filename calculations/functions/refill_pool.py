"""Calculation function that puts new random crystals into a relaxed pool."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, calcfunction
from aiida.orm import ArrayData, Dict, StructureData

from aiida_prospect.calculations.functions.generate_pool import ERROR_INVALID_PARAMETERS, ERROR_NO_CRYSTAL
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.structures import frames_of
from aiida_prospect.methods.pool.recipe import PoolError
from aiida_prospect.methods.refill import refill_from_parameters


@calcfunction
def refill_pool(
    pool: DatasetData, clusters: ArrayData, parameters: Dict, **structures: StructureData | DatasetData
) -> Any:
    """Replace what a pool can do without by new random crystals, see :func:`aiida_prospect.methods.refill.refill`.

    :param clusters: of the pool, as of ``prospect.cluster_pool``.
    :param parameters: see :func:`~aiida_prospect.methods.refill.refill_from_parameters`.
    :param structures: own ones that the pool was begun with, by names of the same order.
    :return: :class:`~aiida_prospect.data.dataset.DatasetData` of the same length; or exit code 201 for invalid
        parameters, 202 if no crystal fits the constraints, with the reason.
    """
    try:
        own = Frames.concatenate([frames_of(structures[name]) for name in sorted(structures)])
        refilled, _ = refill_from_parameters(pool.frames, clusters.get_array('labels'), parameters.get_dict(), own)
    except PoolError as error:
        return ExitCode(ERROR_NO_CRYSTAL, f'no crystals to refill the pool with: {error}')
    except ValueError as error:
        return ExitCode(ERROR_INVALID_PARAMETERS, f'no crystals to refill the pool with: {error}')
    return DatasetData(refilled)
