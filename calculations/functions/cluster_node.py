"""The node in which ``cluster_pool`` keeps its clusters."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from aiida import orm

from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.methods.clustered_pool import FINGERPRINT, ClusteredPool
from aiida_prospect.methods.clusters import Clusters
from aiida_prospect.methods.fingerprints import FingerprintSettings, fingerprints

ELEMENTS = 'elements'


def write_clusters(pool: ClusteredPool) -> orm.ArrayData:
    """Return a node with the arrays ``labels``, ``representatives``, ``energies`` and ``fingerprints``.

    Attributes hold the settings of the fingerprints, so that those of other frames can be made alike.
    """
    node = orm.ArrayData(
        {
            'labels': pool.clusters.labels,
            'representatives': pool.clusters.representatives,
            'energies': pool.clusters.energies,
            'fingerprints': pool.spectra.astype(np.float32),
        }
    )
    node.base.attributes.set_many({FINGERPRINT: asdict(pool.settings), ELEMENTS: list(pool.elements)})
    return node


def read_clusters(node: orm.ArrayData, frames: Frames) -> ClusteredPool:
    """Return a pool with its clusters."""
    return ClusteredPool(
        frames,
        Clusters(*(node.get_array(name) for name in ('labels', 'representatives', 'energies'))),
        node.get_array('fingerprints').astype(np.float64),
        FingerprintSettings(**node.base.attributes.get(FINGERPRINT)),
        tuple(node.base.attributes.get(ELEMENTS)),
    )


def fingerprints_like(node: orm.ArrayData, frames: Frames) -> FloatArray:
    """Return the fingerprints of other frames, made as those of the pool; NaN where an element is not in the pool."""
    settings = FingerprintSettings(**node.base.attributes.get(FINGERPRINT))
    return fingerprints(frames, node.base.attributes.get(ELEMENTS), settings)
