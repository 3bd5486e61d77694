"""Learning curves of DeePMD-kit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames

FloatArray = NDArray[np.float64]

FORCES = ('rmse_f_trn', 'rmse_f')
# Forces of a set of minima tell nothing about whether a training succeeds.
SMALLEST_FORCE = 0.05


def read_learning_curve(text: str) -> dict[str, FloatArray]:
    """Read ``lcurve.out``.

    :return: for each column, named as in the file (``step``, ``rmse_trn``, ``rmse_f_val``, …), (n_rows,); eV/atom for
        energies and virials, eV/Å for forces. Rows that a continued training wrote again are there once.
    :raises ValueError: if there is no header or a row of another length.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    header = next((line[1:] for line in lines if line[0] == '#' and 'step' in line), None)
    if header is None:
        raise ValueError('the learning curve has no header with the names of its columns')
    rows: dict[int, list[float]] = {}
    for line in lines:
        if line[0].startswith('#'):
            continue
        if len(line) != len(header):
            raise ValueError(f'a row of the learning curve has {len(line)} columns, expected {len(header)}: {line}')
        rows[int(float(line[0]))] = [float(value) for value in line]
    table = np.array([rows[step] for step in sorted(rows)]).reshape(-1, len(header))
    return {name: table[:, column] for column, name in enumerate(header)}


def typical_force(frames: Frames) -> float:
    """Return the median over frames of the root mean square of the components of the forces, eV/Å."""
    squares = np.bincount(frames.frame_of_atom, weights=np.mean(np.square(frames.known('forces')), axis=1))
    return float(np.median(np.sqrt(squares / frames.n_atoms)))


def unlearned_share(curve: Mapping[str, FloatArray], force: float) -> float:
    """Return the error of the forces at the end of a training, as a share of the forces themselves.

    A network that has learned nothing, or that chases a few absurd labels, has one or more. The median of the last
    quarter of the rows is taken, because each row belongs to another few frames.

    :param force: see :func:`typical_force`, eV/Å.
    :return: NaN if the curve has no errors of forces.
    """
    errors = next((curve[name] for name in FORCES if name in curve), np.empty(0))
    if len(errors) == 0:
        return float('nan')
    return float(np.median(errors[-max(1, len(errors) // 4) :]) / max(force, SMALLEST_FORCE))
