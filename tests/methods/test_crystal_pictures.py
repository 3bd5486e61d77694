"""Tests for the pictures of crystals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from matplotlib.figure import Figure

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.crystal_pictures import block_of, bonds_of, draw_crystal, scene_of


@pytest.fixture
def diamond() -> Frames:
    return Frames.from_atoms([bulk('Si', 'diamond', a=5.43)])


def test_inner_atoms_of_diamond_have_four_bonds(diamond):
    block, _ = block_of(diamond)
    counts = np.bincount(np.ravel(bonds_of(block)), minlength=len(block))
    assert counts.max() == 4
    inner = np.all((block.get_scaled_positions() > 0.3) & (block.get_scaled_positions() < 0.7), axis=1)
    assert set(counts[inner]) == {4}


def test_scene_keeps_distances_and_cell(diamond):
    scene = json.loads(json.dumps(scene_of(diamond)))
    block, cell = block_of(diamond)
    places = np.array(scene['atoms'])[:, :3]
    for i, j in scene['bonds'][:20]:
        assert np.linalg.norm(places[i] - places[j]) == pytest.approx(block.get_distance(i, j), abs=0.01)
    lengths = [np.linalg.norm(np.subtract(*edge)) for edge in scene['cell']]
    assert sorted(lengths) == pytest.approx(sorted(np.repeat(np.linalg.norm(cell, axis=1), 4)), abs=0.01)
    assert len({tuple(np.round(end, 2)) for edge in scene['cell'] for end in edge}) == 8
    assert [kind['symbol'] for kind in scene['kinds']] == ['Si']


def test_picture_has_a_disc_for_each_atom(diamond):
    axis = Figure().subplots()
    draw_crystal(axis, diamond)
    assert len(axis.patches) == len(block_of(diamond)[0])


@pytest.mark.parametrize('name', ['Al', 'Si'], ids=['no bonds', 'bonds'])
def test_all_discs_are_within_the_picture(name):
    """Atoms of a metal are farther apart than bonds are long."""
    frame = Frames.from_atoms([bulk(name)])
    assert bool(bonds_of(block_of(frame)[0])) == (name == 'Si')
    axis = Figure().subplots()
    draw_crystal(axis, frame)
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for disc in axis.patches:
        (x, y), radius = disc.center, disc.radius
        assert left <= x - radius < x + radius <= right
        assert bottom <= y - radius < y + radius <= top
