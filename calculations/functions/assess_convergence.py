"""Calculation function that judges whether a search is at its end."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import read_clusters
from aiida_prospect.calculations.functions.joined_labels import frames_by_name
from aiida_prospect.data.dataset import DatasetData


@calcfunction
def assess_convergence(
    pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, previous: Any = None, **labels: Any
) -> dict[str, orm.Dict]:
    """Judge whether the lowest minima are stable and confirmed, see :func:`aiida_prospect.methods.convergence.assess`.

    :param parameters: see :meth:`aiida_prospect.methods.clustered_pool.ClusteredPool.assess`.
    :param previous: the assessment of the cycle before, needed for a patience of more than one cycle.
    :param labels: of all cycles so far, by names that sort by cycle.
    """
    before = previous.get_dict() if previous is not None else None
    clustered = read_clusters(clusters, pool.frames)
    return {'assessment': orm.Dict(clustered.assess(parameters.get_dict(), frames_by_name(labels), before))}
