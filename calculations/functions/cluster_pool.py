"""Calculation function that finds the minima in a pool."""

from dataclasses import asdict

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.clusters import ClusterSettings, cluster
from aiida_prospect.methods.fingerprints import FingerprintSettings, fingerprints

FINGERPRINT = 'fingerprint'
ELEMENTS = 'elements'


@calcfunction
def cluster_pool(pool: DatasetData, parameters: orm.Dict) -> dict[str, orm.ArrayData]:
    """Group the frames of a pool that are one minimum, see :func:`aiida_prospect.methods.clusters.cluster`.

    :param parameters: those of :class:`ClusterSettings`, and under ``fingerprint`` those of
        :class:`FingerprintSettings`.
    :return: ``clusters`` with the arrays ``labels``, ``representatives``, ``energies`` and ``fingerprints``; attributes
        hold the settings of the fingerprints, so that those of other frames can be made alike.
    """
    values = parameters.get_dict()
    settings = FingerprintSettings(**values.pop(FINGERPRINT, {}))
    frames = pool.frames
    spectra = fingerprints(frames, frames.elements, settings)
    clusters = cluster(frames, spectra, ClusterSettings(**values))
    node = orm.ArrayData(
        {
            'labels': clusters.labels,
            'representatives': clusters.representatives,
            'energies': clusters.energies,
            # Of all that a search stores this is the largest; distances below 1e-6 do not matter.
            'fingerprints': spectra.astype(np.float32),
        }
    )
    node.base.attributes.set_many({FINGERPRINT: asdict(settings), ELEMENTS: list(frames.elements)})
    return {'clusters': node}
