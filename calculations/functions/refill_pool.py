"""Calculation function that puts new random crystals into a relaxed pool."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, calcfunction
from aiida.orm import ArrayData, Dict

from aiida_prospect.calculations.functions.generate_pool import ERROR_INVALID_PARAMETERS, ERROR_NO_CRYSTAL
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.pool.recipe import PoolError
from aiida_prospect.methods.pool.seeds import generator_for
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.methods.refill import refill, surplus


@calcfunction
def refill_pool(pool: DatasetData, clusters: ArrayData, parameters: Dict) -> Any:
    """Replace unusable frames and copies by new random crystals, see :func:`aiida_prospect.methods.refill.refill`.

    :param clusters: of the pool, as of ``prospect.cluster_pool``.
    :param parameters: those of ``prospect.generate_pool``, of which ``n_structures`` has no effect and
        ``origin_prefix`` must differ from those before, and ``keep_per_cluster`` and ``max_new``, see
        :func:`~aiida_prospect.methods.refill.surplus`.
    :return: :class:`~aiida_prospect.data.dataset.DatasetData` of the same length; or exit code 201 for invalid
        parameters, 202 if no crystal fits the constraints, with the reason.
    """
    values = parameters.get_dict()
    frames = pool.frames
    energies = None if frames.energy is None else frames.energy_per_atom
    try:
        rng = generator_for(values.pop('seed', None), values.get('origin_prefix', ''))
        keep, limit = values.pop('keep_per_cluster'), values.pop('max_new', None)
        marked = surplus(clusters.get_array('labels'), energies, keep, limit)
        refilled, _ = refill(frames, marked, PoolSpec.from_parameters(values), rng)
    except PoolError as error:
        return ExitCode(ERROR_NO_CRYSTAL, f'no crystals to refill the pool with: {error}')
    except ValueError as error:
        return ExitCode(ERROR_INVALID_PARAMETERS, f'no crystals to refill the pool with: {error}')
    return DatasetData(refilled)
