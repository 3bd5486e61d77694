"""Tests for the map of a pool."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from aiida_prospect.methods.report.pool_map import draw_map, principal_plane


@pytest.fixture
def points() -> np.ndarray:
    """Return points that vary most in two directions of five."""
    return np.random.default_rng(1).normal(size=(40, 5)) * [3.0, 2.0, 0.1, 0.1, 0.1] + 1.0


def test_plane_holds_what_varies_most(points):
    plane = principal_plane(points)
    assert sum(plane.shares) > 0.98
    assert pdist(plane(points)) == pytest.approx(pdist(points[:, :2]), abs=0.8)


def test_distances_in_the_map_do_not_depend_on_the_axes(points):
    turned = points @ np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    assert pdist(principal_plane(turned)(turned)) == pytest.approx(pdist(principal_plane(points)(points)))


def test_equal_pools_have_equal_maps(points):
    order = np.random.default_rng(3).permutation(len(points))
    assert principal_plane(points[order])(points) == pytest.approx(principal_plane(points)(points))


def test_two_points_have_no_map(points):
    with pytest.raises(ValueError, match='three points'):
        principal_plane(points[:2])
    assert 'no pool of crystals' in draw_map(points[:2], np.zeros(2), points[:0], points[:0], [])


def test_frames_without_fingerprint_are_left_out(points):
    pool = np.vstack([points, np.full((3, 5), np.nan)])
    figure = draw_map(pool, np.arange(len(pool), dtype=float), points[:4], points[:1], ['0'])
    assert isinstance(figure, Figure)
    dots, axis = figure.axes[0].collections[0], figure.axes[0]
    assert len(dots.get_offsets()) == len(points)
    assert [text.get_text() for text in axis.texts] == ['0']
