"""Tests for the judgement of labels by an ensemble."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_prospect.methods.audit import AuditSettings, Verdict, audit, compare, modified_z, residuals

SETTINGS = AuditSettings()


@pytest.fixture
def labels(generate_frames):
    return generate_frames('Si4', 20, labelled=True)


def predicted_for(labels, seed=0):
    """Return what an ensemble with normal errors would say: 10 meV/atom, 0.1 eV/Å, 0.002 eV/Å³."""
    rng = np.random.default_rng(seed)
    return labels.replace(
        energy=labels.energy + labels.n_atoms * rng.normal(0, 0.01, len(labels)),
        forces=labels.forces + rng.normal(0, 0.1, labels.forces.shape),
        stress=labels.stress + rng.normal(0, 0.002, labels.stress.shape),
    )


def suspects(labels, predicted, left_out=None, settings=SETTINGS):
    findings = audit(labels, predicted, left_out or [''] * len(labels), settings)
    return [index for index, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECT]


def corrupted(labels, name, index):
    values = getattr(labels, name).copy()
    if name == 'energy':
        values[index] -= 0.5 * labels.n_atoms[index]
    elif name == 'forces':
        values[labels.offsets[index]] += [5.0, 0.0, 0.0]
    else:
        values[index] += 0.1
    return labels.replace(**{name: values})


@pytest.mark.parametrize('seed', range(20))
def test_sound_labels_are_not_doubted(labels, seed):
    assert suspects(labels, predicted_for(labels, seed)) == []


@pytest.mark.parametrize('name', ['energy', 'forces', 'stress'])
@pytest.mark.parametrize('index', [0, 7, 19])
def test_one_wrong_number_is_found_and_named(labels, name, index):
    wrong, guess = corrupted(labels, name, index), predicted_for(labels)
    assert suspects(wrong, guess) == [index]
    finding = audit(wrong, guess, [''] * len(labels), SETTINGS)[index]
    assert finding.quantity.startswith(name)
    assert finding.residual == pytest.approx({'energy': -0.5, 'forces': 5.0, 'stress': 0.1}[name], rel=0.1)
    assert 'z = ' in finding.reason


def test_a_common_shift_of_all_energies_is_no_reason_for_doubt(labels):
    shifted = labels.replace(energy=labels.energy + 3.0 * labels.n_atoms)
    assert suspects(shifted, predicted_for(labels)) == []


def test_a_residual_that_is_small_in_absolute_terms_is_none_however_good_the_ensemble(labels):
    nearly = predicted_for(labels)
    tiny = labels.replace(
        energy=labels.energy + 0.001 * (nearly.energy - labels.energy),
        forces=labels.forces + 0.001 * (nearly.forces - labels.forces),
        stress=labels.stress + 0.001 * (nearly.stress - labels.stress),
    )
    off = labels.energy.copy()
    off[3] += 0.01 * labels.n_atoms[3]
    assert suspects(labels.replace(energy=off), tiny) == []
    assert suspects(labels.replace(energy=off), tiny, settings=AuditSettings(energy=0.005)) == [3]


def test_a_frame_that_was_left_out_is_allowed_the_disagreement_of_the_members(labels):
    wrong, guess = corrupted(labels, 'energy', 4), predicted_for(labels)
    left_out = ['a large force' if index == 4 else '' for index in range(len(labels))]
    sure = guess.replace(energy_spread=np.full(len(labels), 0.01), forces_spread=np.full(len(labels.numbers), 0.1))
    assert suspects(wrong, sure, left_out) == [4]
    spread = sure.energy_spread.copy()
    spread[4] = 0.4 * labels.n_atoms[4]
    assert suspects(wrong, sure.replace(energy_spread=spread), left_out) == []
    assert suspects(wrong, sure.replace(energy_spread=spread)) == [4]


def test_frames_without_a_label_are_told_apart(labels):
    energy, status, reason = labels.energy.copy(), ['ok'] * 20, [''] * 20
    energy[2], status[2], reason[2] = np.nan, 'unconverged', 'no self-consistency'
    broken = labels.replace(energy=energy, status=status, reason=reason)
    finding = audit(broken, predicted_for(labels), [''] * 20, SETTINGS)[2]
    assert (finding.verdict, finding.reason) == (Verdict.NO_LABEL, 'unconverged: no self-consistency')


def test_the_score_of_normal_numbers_is_their_distance_in_standard_deviations():
    values = np.random.default_rng(1).normal(3.0, 0.2, 20001)
    assert modified_z(values, np.ones(len(values), bool)) == pytest.approx((values - 3.0) / 0.2, rel=0.05, abs=0.1)


def test_too_few_residuals_or_equal_ones_have_no_score():
    assert np.all(np.isnan(modified_z(np.arange(4.0), np.ones(4, bool))))
    assert np.all(np.isnan(modified_z(np.ones(9), np.ones(9, bool))))


def test_residuals_are_labels_minus_predictions(labels):
    found = residuals(corrupted(labels, 'energy', 1), labels)
    assert found['energy'][1] == pytest.approx(-0.5)
    assert np.count_nonzero(np.abs(found['energy']) > 1e-12) == 1
    forces = residuals(corrupted(labels, 'forces', 1), labels)
    assert forces['forces_max'][1] == pytest.approx(5.0)
    assert forces['forces'][1] == pytest.approx(5.0 / np.sqrt(12))


def test_what_changed_is_new_minus_old(labels):
    (change,) = compare(corrupted(labels, 'energy', 5)[5], labels[5])
    assert change['energy']['difference'] == pytest.approx(0.5)
    assert change['forces']['difference'] == 0


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match='`threshold` is 0'):
        AuditSettings(threshold=0)
