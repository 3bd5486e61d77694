"""How far a potential is from its labels."""

from __future__ import annotations

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.methods.evaluators.base import Evaluation


def model_errors(labels: Frames, predicted: Evaluation) -> dict[str, float]:
    """Return root mean square errors.

    :param labels: frames with energy and forces.
    :return: ``energy`` (eV/atom), ``forces`` (eV/Å, per component), ``virial`` (eV/atom, per component; only if
        stresses are known), ``energy_shifted`` (eV/atom: after the mean error is taken off, which a ranking does not
        notice) and ``n_frames``.
    """
    energy = (predicted.energy - labels.known('energy')) / labels.n_atoms
    errors = {
        'energy': _rms(energy),
        'energy_shifted': _rms(energy - energy.mean()),
        'forces': _rms(predicted.forces - labels.known('forces')),
        'n_frames': float(len(labels)),
    }
    if labels.stress is not None:
        known = np.isfinite(labels.stress).all(axis=(1, 2))
        if known.any():
            virial = virial_from_stress(predicted.stress - labels.stress, labels.volumes)
            errors['virial'] = _rms((virial / labels.n_atoms[:, None, None])[known])
    return errors


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
