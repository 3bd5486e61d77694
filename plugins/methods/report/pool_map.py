"""A map of a pool: crystals that are alike lie close to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from aiida_prospect.common.frames import FloatArray
from aiida_prospect.methods.report.style import MANY, RED, one_panel

# Shown as if they were no higher than this above the lowest, eV/atom: else a few odd crystals take all colours.
HIGHEST = 1.0


@dataclass(frozen=True)
class Projection:
    """The plane in which the points of a set vary most (principal components).

    :param mean: (d,).
    :param axes: (2, d).
    :param shares: parts of the variance along the axes.
    """

    mean: FloatArray
    axes: FloatArray
    shares: tuple[float, float]

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the (n, 2) places of (n, d) points."""
        return np.asarray((points - self.mean) @ self.axes.T)


def principal_plane(points: FloatArray) -> Projection:
    """Find the plane of the two largest principal components.

    The sign of an axis is such that its largest component is positive, so that equal points give equal maps.

    :param points: (n, d), finite.
    :raises ValueError: if there are fewer than three.
    """
    if len(points) < 3:
        raise ValueError(f'a plane needs three points, got {len(points)}')
    mean = points.mean(axis=0)
    _, values, vectors = np.linalg.svd(points - mean, full_matrices=False)
    axes = vectors[:2] * np.sign(vectors[:2][[0, 1], np.abs(vectors[:2]).argmax(axis=1)])[:, None]
    total = float(np.sum(values**2)) or 1.0
    return Projection(mean, axes, (float(values[0] ** 2 / total), float(values[1] ** 2 / total)))


def draw_map(
    pool: FloatArray, energies: FloatArray, labelled: FloatArray, minima: FloatArray, names: list[str]
) -> Figure | str:
    """Draw the map.

    :param pool: (n, d) fingerprints of the crystals; rows with NaN are left out.
    :param energies: (n,), eV/atom, NaN where not known.
    :param labelled: (m, d), of what was labelled.
    :param minima: (k, d), of the ranked minima, and ``names`` to write beside them.
    """
    usable = np.isfinite(pool).all(axis=1) if pool.size else np.zeros(0, dtype=bool)
    if usable.sum() < 3:
        return 'There is no pool of crystals with fingerprints to draw a map of.'
    plane = principal_plane(pool[usable])
    figure, axis = one_panel()
    axis.grid(False)
    places = plane(pool[usable])
    heights = energies[usable] - np.nanmin(energies[usable]) if np.isfinite(energies[usable]).any() else None
    rasterized = len(places) > MANY
    if heights is None:
        axis.plot(*places.T, 'o', ms=4, color='0.6', rasterized=rasterized)
    else:
        order = np.argsort(-np.nan_to_num(heights, nan=np.inf))
        shown = np.minimum(heights, HIGHEST)[order]
        dots = axis.scatter(places[order, 0], places[order, 1], c=shown, s=16, cmap='viridis_r', rasterized=rasterized)
        figure.colorbar(dots, ax=axis, label='energy above the lowest (eV/atom)')
    known = labelled[np.isfinite(labelled).all(axis=1)] if labelled.size else labelled
    if len(known):
        spots = plane(known)
        axis.plot(*spots.T, 'x', ms=5, mew=1.0, color='black', label='labelled', rasterized=len(spots) > MANY)
    for number, (name, place) in enumerate(zip(names, plane(minima) if len(minima) else [], strict=False)):
        axis.plot(*place, '*', ms=13, mec='black', mfc=RED, label='minimum' if number == 0 else None)
        axis.annotate(name, place, xytext=(6, 5), textcoords='offset points', fontweight='bold')
    axis.set_xlabel(f'first component ({plane.shares[0]:.0%} of the variance)')
    axis.set_ylabel(f'second component ({plane.shares[1]:.0%})')
    if len(known) or len(minima):
        axis.legend(loc='best', handletextpad=0.3)
    return figure
