"""Calculation function that puts a pool together again that was relaxed in slices."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.relaxation import slices as methods

RELAXED = 'relaxed_'


@calcfunction
def merge_slices(pool: DatasetData, n_slices: orm.Int, **results: orm.Data) -> dict:
    """Put a relaxed pool together from its slices, see :func:`aiida_prospect.methods.relaxation.slices.merge_slices`.

    :param results: ``relaxed_003`` and ``trajectories_003`` of slice 3, as far as there are any, and ``statistics_…``
        of each job.
    :return: ``pool``, ``report`` and, if there are any, ``trajectories``.
    """
    relaxed = {int(key.removeprefix(RELAXED)): node.frames for key, node in results.items() if key.startswith(RELAXED)}
    merged = methods.merge_slices(pool.frames, n_slices.value, relaxed)
    statistics = [node.get_dict() for key, node in sorted(results.items()) if key.startswith('statistics_')]
    outputs = {'pool': DatasetData(merged), 'report': orm.Dict(methods.summarise(merged, statistics))}
    trajectories = [node.frames for key, node in sorted(results.items()) if key.startswith('trajectories_')]
    if trajectories:
        outputs['trajectories'] = DatasetData(Frames.concatenate(trajectories))
    return outputs
