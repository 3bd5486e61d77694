"""What a linear force field says of each label that it has not seen.

An ensemble follows the labels that it is trained on, wrong ones too. A linear fit takes so little time that each label
can be judged by a fit without it; and labels that are doubted are taken out one by one, the worst first, so that they
do not spoil the fits by which the others are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.common.units import stress_from_virial
from aiida_prospect.methods.audit import AuditSettings, Verdict, audit, excess_of
from aiida_prospect.methods.pod_equations import FrameEquations
from aiida_prospect.methods.pod_fit import FitSettings, fit

# Each is a fit; with fewer origins each of them is left out alone.
MOST_FOLDS = 30
# At most this part of the labels is taken out.
LARGEST_PART = 0.2


def predict_left_out(
    frames: Frames,
    rows: Sequence[FrameEquations],
    origins: Sequence[str],
    left_out: Sequence[str],
    settings: FitSettings,
    n_elements: int,
    limits: AuditSettings,
) -> Frames:
    """Return the frames with energies, forces and stresses of fits that have seen neither them nor doubted labels.

    :param frames: labelled, with energy and forces.
    :param rows: their equations.
    :param origins: frames of one origin are left out together.
    :param left_out: for each frame why nothing is fitted to it, or an empty string.
    :param limits: when a label is doubted.
    """
    out = list(left_out)
    for _ in range(int(LARGEST_PART * len(frames)) + 1):
        predicted = _predict_folds(frames, rows, origins, out, settings, n_elements)
        findings = audit(frames, predicted, out, limits)
        doubted = [i for i, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECT and not out[i]]
        if not doubted:
            break
        worst = max(doubted, key=lambda index: excess_of(findings[index], limits))
        out[worst] = 'doubted'
    return predicted


def _predict_folds(
    frames: Frames,
    rows: Sequence[FrameEquations],
    origins: Sequence[str],
    left_out: Sequence[str],
    settings: FitSettings,
    n_elements: int,
) -> Frames:
    names, number_of = np.unique(np.asarray(origins), return_inverse=True)
    fold_of = np.random.default_rng(0).permutation(len(names))[number_of] % min(MOST_FOLDS, len(names))
    trained = np.array([not reason for reason in left_out])
    everything = replace(settings, share=None)
    parts: dict[int, Frames] = {}
    for fold in np.unique(fold_of):
        inside = np.flatnonzero(trained & (fold_of != fold)).tolist()
        # Frames of one origin are not divided further: without cross-validation.
        found = fit([rows[i] for i in inside], ['one'] * len(inside), everything, np.random.default_rng(0), n_elements)
        parts |= {i: _predict(frames[i], rows[i], found.coefficients) for i in np.flatnonzero(fold_of == fold).tolist()}
    return Frames.concatenate([parts[index] for index in range(len(frames))])


def _predict(frame: Frames, row: FrameEquations, coefficients: FloatArray) -> Frames:
    """Return one frame with what coefficients say of it: its label less what they do not explain."""
    n_atoms = int(frame.n_atoms[0])
    energy = frame.known('energy') - n_atoms * (row.known_energy - row.energy @ coefficients)
    forces = frame.known('forces').copy()
    # The equations have the atoms in the order of their atomic numbers.
    forces[np.argsort(frame.numbers, kind='stable')] -= (row.known_forces - row.forces @ coefficients).reshape(-1, 3)
    predicted = frame.replace(energy=energy, forces=forces)
    if frame.stress is None:
        return predicted
    virial = voigt_6_to_full_3x3_stress(row.known_virial - row.virial @ coefficients) * n_atoms
    return predicted.replace(stress=frame.stress - stress_from_virial(virial[None], frame.volumes))
