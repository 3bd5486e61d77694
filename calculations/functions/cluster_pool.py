"""Calculation function that finds the minima in a pool."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import write_clusters
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.clustered_pool import ClusteredPool


@calcfunction
def cluster_pool(pool: DatasetData, parameters: orm.Dict) -> dict[str, orm.ArrayData]:
    """Group the frames of a pool that are one minimum, see :func:`aiida_prospect.methods.clusters.cluster`.

    :param parameters: see :meth:`aiida_prospect.methods.clustered_pool.ClusteredPool.of`.
    :return: ``clusters``, see :func:`~aiida_prospect.calculations.functions.cluster_node.write_clusters`.
    """
    return {'clusters': write_clusters(ClusteredPool.of(pool.frames, parameters.get_dict()))}
