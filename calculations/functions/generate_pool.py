"""Calculation function that makes random crystals."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict, StructureData

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.structures import frames_of
from aiida_prospect.methods.pool.generate import generate_from_parameters
from aiida_prospect.methods.pool.recipe import PoolError

ERROR_INVALID_PARAMETERS = 201
ERROR_NO_CRYSTAL = 202


@calcfunction
def generate_pool(parameters: Dict, **structures: StructureData | DatasetData) -> Any:
    """Make a pool of random crystals, see :func:`aiida_prospect.methods.pool.generate.generate`.

    :param parameters: those of :class:`~aiida_prospect.methods.pool.spec.PoolSpec` and a ``seed``.
    :param structures: own ones that the pool begins with, in the order of their names.
    :return: ``pool`` (:class:`~aiida_prospect.data.dataset.DatasetData`) and ``report`` (``Dict``), what was made and
        refused; or exit code 201 for invalid parameters and structures, 202 if no crystal fits the constraints, with
        the reason.
    """
    try:
        own = Frames.concatenate([frames_of(structures[name]) for name in sorted(structures)])
        frames, report = generate_from_parameters(parameters.get_dict(), own)
    except PoolError as error:
        return ExitCode(ERROR_NO_CRYSTAL, f'no pool: {error}')
    except ValueError as error:
        return ExitCode(ERROR_INVALID_PARAMETERS, f'no pool: {error}')
    return {'pool': DatasetData(frames), 'report': Dict(report.as_dict())}
