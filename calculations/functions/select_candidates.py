"""Calculation function that chooses what is labelled next."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import labels_like, read_clusters
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.calibration import Calibration, calibrate
from aiida_prospect.methods.selection.base import SelectionRequest, load_strategy
from aiida_prospect.methods.selection.candidates import choose


@calcfunction
def select_candidates(
    pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, **labels: Any
) -> dict[str, DatasetData]:
    """Choose what is labelled next, see :func:`aiida_prospect.methods.selection.candidates.choose`.

    :param parameters: ``strategy``, ``n_select``, ``seed``, ``cycle``, ``tolerance``, ``energy_tolerance`` and, by
        strategy, ``options``.
    :param labels: of all cycles so far, by names that sort by cycle.
    """
    values = parameters.get_dict()
    minima, spectra = read_clusters(clusters)
    labelled, labelled_spectra = labels_like(clusters, labels)
    request = SelectionRequest(
        pool.frames,
        spectra,
        minima,
        n_select=values['n_select'],
        rng=np.random.default_rng([values['seed'], values['cycle']]),
        labelled=Frames.concatenate(list(labelled.values())),
        labelled_fingerprints=np.concatenate([np.empty((0, spectra.shape[1])), *labelled_spectra.values()]),
        cycle=values['cycle'],
        options=values['options'].get(values['strategy'], {}),
        calibration=calibrate(labelled[max(labelled)]) if labelled else Calibration(),
        tolerance=values['tolerance'],
        energy_tolerance=values['energy_tolerance'],
    )
    return {'candidates': DatasetData(choose(load_strategy(values['strategy']), request))}
