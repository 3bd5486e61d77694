"""Learning curves: how many labels from scratch are worth as much as a pretrained start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# Rows that begin with a pretrained model, and those of the same network from scratch.
FAMILIES = {'finetuned_': re.compile(r'salt_\d+_\d+'), 'continued_': re.compile(r'e2a_\d+_\d+')}


def scratch_curve(found: Mapping[str, Mapping[str, Any]], family: str) -> dict[int, float]:
    """Return the error of unseen minima by number of labels, eV/atom, of the best training from scratch of each.

    :param family: one of :data:`FAMILIES`.
    """
    curve: dict[int, float] = {}
    for name, item in found.items():
        if FAMILIES[family].fullmatch(name):
            error = item['judged']['minima_rms']
            curve[item['labels']] = min(error, curve.get(item['labels'], np.inf))
    return dict(sorted(curve.items()))


def equivalent(curve: Mapping[int, float], error: float) -> str:
    """Return how many labels a training from scratch needs for an error, in words.

    Between two numbers of labels both are taken to change by a power law; the curve is made to fall.

    :param curve: error by number of labels, eV/atom.
    """
    if not curve:
        return '–'
    labels = np.array(list(curve))
    errors = np.minimum.accumulate(list(curve.values()))
    reached = np.flatnonzero(errors <= error)
    if not len(reached):
        return f'> {labels[-1]}'
    first = int(reached[0])
    if first == 0:
        return f'≤ {labels[0]}'
    share = np.log(errors[first - 1] / error) / np.log(errors[first - 1] / errors[first])
    return f'{np.exp(np.log(labels[first - 1]) + share * np.log(labels[first] / labels[first - 1])):.0f}'
