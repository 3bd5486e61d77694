"""Tests of the judgement of labels by fits that have not seen them, on labels that a linear law gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.audit import AuditSettings, Verdict, audit
from aiida_prospect.methods.left_out import predict_left_out
from aiida_prospect.methods.pod_equations import FrameEquations
from aiida_prospect.methods.pod_fit import FitSettings

TOLERANCE = {'energy': 0.01, 'forces': 0.1, 'virial': 0.05}
SETTINGS = FitSettings(TOLERANCE, energy_scale=0.5, regularisation=[1e-6], folds=5, share=0.85)
LIMITS = AuditSettings()
N_FRAMES, N_COEFFICIENTS, NOISE = 60, 3, 0.005


@pytest.fixture
def problem(generate_frames):
    """Return frames and their equations, whose labels follow a linear law but for a little noise."""
    rng = np.random.default_rng(3)
    frames = generate_frames('Si4', N_FRAMES, labelled=True)
    law, rows = rng.normal(0, 1, N_COEFFICIENTS), []
    for _ in range(N_FRAMES):
        energy, forces = rng.normal(0, 0.3, N_COEFFICIENTS), rng.normal(0, 0.3, (12, N_COEFFICIENTS))
        virial = rng.normal(0, 0.3, (6, N_COEFFICIENTS))
        # The first coefficient is the energy of an atom alone.
        energy[0], forces[:, 0], virial[:, 0] = 1.0, 0.0, 0.0
        noise = rng.normal(0, NOISE, 19)
        known = (energy @ law + noise[0], forces @ law + noise[1:13], virial @ law + noise[13:])
        rows.append(FrameEquations(energy, forces, virial, *known))
    return frames, rows


def with_energy(problem, index, error):
    """Return the problem with a wrong energy, eV/atom."""
    frames, rows = problem
    energy = frames.energy.copy()
    energy[index] += error * frames.n_atoms[index]
    rows = list(rows)
    rows[index] = replace(rows[index], known_energy=rows[index].known_energy + error)
    return frames.replace(energy=energy), rows


def judge(problem, left_out=None, origins=None):
    """Return residuals of the energies, eV/atom, and which labels are doubted."""
    frames, rows = problem
    origins, left_out = origins or [str(index) for index in range(N_FRAMES)], left_out or [''] * N_FRAMES
    predicted = predict_left_out(frames, rows, origins, left_out, SETTINGS, 1, LIMITS)
    findings = audit(frames, predicted, left_out, LIMITS)
    doubted = [index for index, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECT]
    return (frames.energy - predicted.energy) / frames.n_atoms, doubted


def test_sound_labels_are_predicted_and_not_doubted(problem):
    residual, doubted = judge(problem)
    assert np.max(np.abs(residual)) < 10 * NOISE
    assert doubted == []


@pytest.mark.parametrize('index', [0, 5, 17])
@pytest.mark.parametrize('error', [-1.0, 0.3])
def test_a_wrong_energy_is_seen_whole_also_as_the_lowest_and_spoils_no_other(problem, index, error):
    residual, doubted = judge(with_energy(problem, index, error))
    assert residual[index] == pytest.approx(error, abs=10 * NOISE)
    assert doubted == [index]
    assert np.max(np.abs(np.delete(residual, index))) < 10 * NOISE


def test_several_wrong_energies_are_found(problem):
    wrong = with_energy(with_energy(problem, 2, -1.0), 9, -0.8)
    assert judge(wrong)[1] == [2, 9]


def test_frames_of_one_origin_do_not_vouch_for_each_other(problem):
    """Two frames of one origin that are the same structure, with the same wrong energy."""
    frames, rows = problem
    rows = [*rows[:-1], rows[0]]
    twins = with_energy(with_energy((frames, rows), 0, 0.5), N_FRAMES - 1, 0.5)
    origins = [str(index % (N_FRAMES - 1)) for index in range(N_FRAMES)]
    assert judge(twins, origins=origins)[1] == [0, N_FRAMES - 1]


def test_what_was_left_out_is_predicted_all_the_same(problem):
    left_out = ['a large force' if index == 4 else '' for index in range(N_FRAMES)]
    residual, doubted = judge(with_energy(problem, 4, 1.0), left_out)
    assert residual[4] == pytest.approx(1.0, abs=10 * NOISE)
    assert doubted == [4]


def test_forces_are_those_of_the_atoms_in_their_order():
    """Equations have atoms in the order of atomic numbers; labels that nothing explains are predicted as zero."""
    rng = np.random.default_rng(5)
    frames = Frames.from_atoms([Atoms('AlOAlO', rng.uniform(0, 4, (4, 3)), cell=[4, 4, 4], pbc=True) for _ in range(4)])
    frames = frames.replace(energy=np.zeros(4), forces=rng.normal(0, 1, (16, 3)))
    rows = []
    for frame in frames:
        in_order = frame.known('forces')[np.argsort(frame.numbers, kind='stable')].ravel()
        one_body = np.array([0.5, 0.5])
        nothing, virial = np.zeros((12, 2)), np.zeros((6, 2))
        rows.append(FrameEquations(one_body, nothing, virial, 0.0, in_order, np.full(6, np.nan)))
    predicted = predict_left_out(frames, rows, list('abcd'), [''] * 4, SETTINGS, 2, LIMITS)
    assert predicted.forces == pytest.approx(np.zeros((16, 3)))
