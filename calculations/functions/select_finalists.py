"""Calculation function that chooses what is relaxed with the reference method."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.finalists import choose_finalists
from aiida_prospect.methods.fingerprints import fingerprints


@calcfunction
def select_finalists(pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, **labels: Any) -> DatasetData:
    """Choose the lowest structures, see :func:`aiida_prospect.methods.finalists.choose_finalists`."""
    labelled = Frames.concatenate([labels[key].frames for key in sorted(labels)])
    values = parameters.get_dict()
    chosen = choose_finalists(
        pool.frames,
        clusters.get_array('fingerprints'),
        clusters.get_array('representatives'),
        labelled,
        fingerprints(labelled),
        n_minima=values['n_minima'],
        energy_window=values['energy_window'],
        tolerance=values['tolerance'],
    )
    return DatasetData(chosen)
