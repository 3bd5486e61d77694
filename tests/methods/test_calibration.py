import numpy as np
import pytest
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.calibration import calibrate


def labels(ratio, n_frames=4000, seed=0):
    """Return labels whose errors are normal, ``ratio`` times as wide as the ensemble said."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.01, 0.1, n_frames)
    predicted = rng.normal(-10, 1, n_frames)
    return Frames.from_atoms(
        [bulk('Si')] * n_frames,
        energy=predicted + rng.normal(0, ratio * spread),
        energy_initial=predicted,
        energy_spread=spread,
        forces_spread=np.repeat(10 * spread, 2),
        status=['ok'] * n_frames,
    )


@pytest.mark.parametrize('ratio', [0.5, 1.0, 4.0])
def test_ratio_is_recovered(ratio):
    frames = labels(ratio)
    found = calibrate(frames)
    assert found.ratio == pytest.approx(ratio, rel=0.05)
    assert found.n_labels == len(frames)
    # The error per atom is half of the error of two atoms; the force spread was made ten times that of the energy.
    assert found.error_per_force_spread == pytest.approx(0.6745 * ratio / 20, rel=0.05)


def test_few_failures_do_not_matter():
    frames = labels(1.0)
    energy = frames.energy.copy()
    energy[:100] += 1e4
    assert calibrate(frames.replace(energy=energy)).ratio == pytest.approx(1, rel=0.1)


def test_what_was_not_predicted_or_not_labelled_does_not_count():
    frames = labels(1.0, 20)
    status = np.array(['ok'] * 20, dtype='U11')
    status[:5] = 'unconverged'
    predicted = frames.energy_initial.copy()
    predicted[5:8] = np.nan
    assert calibrate(frames.replace(status=status, energy_initial=predicted)).n_labels == 12


def test_too_few_say_nothing():
    assert np.isnan(calibrate(labels(1.0, 4)).ratio)
    assert np.isnan(calibrate(labels(1.0, 40).without('energy_initial')).ratio)
    assert np.isnan(calibrate(Frames.empty()).ratio)
