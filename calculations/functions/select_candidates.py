"""Calculation function that chooses what is labelled next."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import read_clusters
from aiida_prospect.calculations.functions.joined_labels import frames_by_name
from aiida_prospect.data.dataset import DatasetData


@calcfunction
def select_candidates(
    pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, **labels: Any
) -> dict[str, DatasetData]:
    """Choose what is labelled next, see :meth:`aiida_prospect.methods.clustered_pool.ClusteredPool.select`.

    :param labels: of all cycles so far, by names that sort by cycle.
    """
    chosen = read_clusters(clusters, pool.frames).select(parameters.get_dict(), frames_by_name(labels))
    return {'candidates': DatasetData(chosen)}
