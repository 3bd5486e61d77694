"""Labels that do not agree with the ensemble that was trained on them.

A label is doubted if its residual lies far from those of the others: by the modified z-score 0.6745 (r − median) / MAD
of Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC Quality Press, 1993), which a few outliers cannot move.
Their limit of 3.5 is for normal residuals; those of an ensemble have heavier tails, and a residual must be large in
absolute terms too.

An ensemble follows the labels that it is trained on, also the wrong ones: a residual is what it could not follow. Of
force fields that are fitted in no time :mod:`~aiida_prospect.methods.left_out` has better residuals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_prospect.common.enums import Choice, LabelStatus
from aiida_prospect.common.frames import FloatArray, Frames

# The median of |x| of a normal distribution of width 1.
MEDIAN_OF_NORMAL = 0.6745
UNITS = {'energy': 'eV/atom', 'forces': 'eV/Å', 'forces_max': 'eV/Å', 'stress': 'eV/Å³'}
WORDS = {
    'energy': 'the energy',
    'forces': 'the forces, rms,',
    'forces_max': 'the force on one atom',
    'stress': 'the stress, rms,',
}
# A median of fewer residuals means nothing.
FEWEST = 5


class Verdict(Choice):
    """What an audit thinks of a label."""

    CONSISTENT = 'consistent'
    SUSPECT = 'suspect'
    NO_LABEL = 'no label'


@dataclass(frozen=True)
class AuditSettings:
    """When a label is doubted.

    :param threshold: least modified z-score.
    :param energy: least residual, eV/atom.
    :param forces: the same for the root mean square over the components, eV/Å.
    :param forces_max: the same for the atom that is farthest off, eV/Å.
    :param stress: the same for the root mean square over the components, eV/Å³.
    :raises ValueError: if one of them is not positive.
    """

    threshold: float = 6.0
    energy: float = 0.05
    forces: float = 0.3
    forces_max: float = 1.0
    stress: float = 0.02

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f'`{name}` is {value}, expected a positive number')


@dataclass(frozen=True)
class Finding:
    """What was found about one frame.

    :param quantity: the one of :data:`UNITS` that is farthest off, in relation to what is allowed.
    :param residual: label minus ensemble; of forces and stress its size.
    """

    verdict: Verdict
    quantity: str = ''
    residual: float = float('nan')
    z: float = float('nan')
    reason: str = ''


def residuals(labels: Frames, predicted: Frames) -> dict[str, FloatArray]:
    """Return label minus prediction by quantity, (n_frames,) each, NaN where one is not known; see :data:`UNITS`.

    :param labels: with energy and forces.
    :param predicted: the same frames with what the ensemble says.
    """
    forces = labels.known('forces') - predicted.known('forces')
    squares = np.add.reduceat(np.sum(forces**2, axis=1), labels.offsets[:-1]) if len(labels) else np.empty(0)
    found = {
        'energy': (labels.known('energy') - predicted.known('energy')) / labels.n_atoms,
        'forces': np.sqrt(squares / (3 * labels.n_atoms)),
        'forces_max': labels.max_over_atoms(np.linalg.norm(forces, axis=1)),
    }
    if labels.stress is not None and predicted.stress is not None:
        found['stress'] = np.sqrt(np.mean((labels.stress - predicted.stress) ** 2, axis=(1, 2)))
    return found


def modified_z(values: FloatArray, sample: np.ndarray, extra: FloatArray | None = None) -> FloatArray:
    """Return the modified z-score of each value.

    :param values: (n,).
    :param sample: (n,) mask of those that median and MAD are taken of.
    :param extra: (n,) further standard deviation of each value, added in squares.
    :return: (n,), NaN if the sample is too small or has no width.
    """
    known = values[sample & np.isfinite(values)]
    if len(known) < FEWEST:
        return np.full(len(values), np.nan)
    median = np.median(known)
    scale = np.median(np.abs(known - median)) / MEDIAN_OF_NORMAL
    width = np.hypot(scale, 0.0 if extra is None else extra)
    return np.asarray(np.divide(values - median, width, out=np.full(len(values), np.nan), where=width > 0))


def audit(labels: Frames, predicted: Frames, left_out: Sequence[str], settings: AuditSettings) -> list[Finding]:
    """Judge each label.

    :param labels: with a status.
    :param predicted: the same frames with what the ensemble says; only those that have a label are looked at.
    :param left_out: for each frame why the ensemble was not trained on it, or an empty string. For such a frame the
        disagreement of the members is allowed for: they had to guess.
    """
    labelled = _labelled(labels)
    known = np.flatnonzero(labelled)
    trained = np.array([not reason for reason in left_out], dtype=bool)[known]
    part, guess = labels.select(known), predicted.select(known)
    found = residuals(part, guess)
    scores = {name: modified_z(values, trained, _spread(name, guess, trained)) for name, values in found.items()}
    limits = asdict(settings)
    findings = [Finding(Verdict.NO_LABEL, reason=_status_of(labels, index)) for index in range(len(labels))]
    for row, index in enumerate(known.tolist()):
        excess = {name: _excess(float(found[name][row]), float(scores[name][row]), limits, name) for name in found}
        worst = max(excess, key=excess.__getitem__)
        residual, z = float(found[worst][row]), float(scores[worst][row])
        doubted = excess[worst] >= 1
        reason = _sentence(worst, residual, z, limits['threshold']) if doubted else ''
        if left_out[index]:
            reason = '; '.join(filter(None, (reason, f'not trained on: {left_out[index]}')))
        findings[index] = Finding(Verdict.SUSPECT if doubted else Verdict.CONSISTENT, worst, residual, z, reason)
    return findings


def _labelled(labels: Frames) -> np.ndarray:
    if not len(labels) or labels.energy is None or labels.forces is None:
        return np.zeros(len(labels), bool)
    usable = np.isfinite(labels.energy) & np.isfinite(labels.max_force)
    return usable if labels.status is None else usable & (labels.status == LabelStatus.OK.value)


def _status_of(labels: Frames, index: int) -> str:
    if labels.status is None:
        return ''
    reason = '' if labels.reason is None else str(labels.reason[index])
    return f'{labels.status[index]}: {reason}' if reason else str(labels.status[index])


def _spread(name: str, predicted: Frames, trained: np.ndarray) -> FloatArray | None:
    if name == 'energy' and predicted.energy_spread is not None:
        spread = predicted.energy_spread / predicted.n_atoms
    elif name.startswith('forces') and predicted.forces_spread is not None:
        spread = predicted.max_over_atoms(predicted.forces_spread)
    elif name == 'stress':
        # Its spread is not known, so that nothing can be said of frames that were not trained on.
        return np.where(trained, 0.0, np.inf)
    else:
        return None
    return np.where(trained | ~np.isfinite(spread), 0.0, spread)


def _excess(residual: float, z: float, limits: Mapping[str, float], name: str) -> float:
    """Return how far a residual is beyond both limits, 1 at the limit."""
    # Forces and stress can only be too far off, an energy can be too high or too low.
    score = abs(z) if name == 'energy' else z
    if not (np.isfinite(residual) and np.isfinite(score)):
        return -np.inf
    return float(min(score / limits['threshold'], abs(residual) / limits[name]))


def excess_of(finding: Finding, settings: AuditSettings) -> float:
    """Return how far a label is beyond what is allowed, 1 at the limit."""
    return _excess(finding.residual, finding.z, asdict(settings), finding.quantity)


def _sentence(name: str, residual: float, z: float, threshold: float) -> str:
    return f'{WORDS[name]} is {residual:+.3g} {UNITS[name]} off: z = {z:.1f}, more than {threshold:g}'


def compare(old: Frames, new: Frames) -> list[dict[str, Any]]:
    """Return what changed when labels were computed again.

    :param old: labels.
    :param new: the same frames, labelled again, with a status.
    :return: for each frame ``status`` and ``reason`` of the new label; ``energy`` (eV/atom) and ``max_force`` (eV/Å)
        each with ``old``, ``new`` and ``difference``; ``forces`` and ``stress`` with the rms ``difference`` (eV/Å,
        eV/Å³). Numbers that are not known are ``None``.
    """
    found = residuals(new, old)
    rows = []
    for index in range(len(new)):
        row: dict[str, Any] = {
            'status': str(new.known('status')[index]),
            'reason': '' if new.reason is None else str(new.reason[index]),
            'energy': _change(old.energy_per_atom[index], new.energy_per_atom[index]),
            'max_force': _change(old.max_force[index], new.max_force[index]),
        }
        row |= {name: {'difference': _plain(found[name][index])} for name in ('forces', 'stress') if name in found}
        rows.append(row)
    return rows


def _change(old: float, new: float) -> dict[str, float | None]:
    return {'old': _plain(old), 'new': _plain(new), 'difference': _plain(new - old)}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
