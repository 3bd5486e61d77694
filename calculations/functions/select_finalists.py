"""Calculation function that chooses what is relaxed with the reference method."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import read_clusters
from aiida_prospect.calculations.functions.joined_labels import frames_by_name
from aiida_prospect.data.dataset import DatasetData


@calcfunction
def select_finalists(pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, **labels: Any) -> DatasetData:
    """Choose what is relaxed at the end, see :meth:`aiida_prospect.methods.clustered_pool.ClusteredPool.finalists`.

    :param labels: of all cycles.
    """
    chosen = read_clusters(clusters, pool.frames).finalists(parameters.get_dict(), frames_by_name(labels))
    return DatasetData(chosen)
