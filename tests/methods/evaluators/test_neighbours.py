"""Tests of neighbour lists that are kept from step to step."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.neighbours import Neighbourhoods, Neighbours

CUTOFF = 4.5


@pytest.fixture
def frames(generate_frames):
    """Return crystals of several sizes, one of them so flat that an atom is its own neighbour many times."""
    cell = np.diag([1.9, 9.0, 9.0])
    positions = np.random.default_rng(0).random((3, 3)) @ cell + 20.0
    flat = Frames(np.full(3, 14), np.array([0, 3]), positions, cell[None])
    return Frames.concatenate([generate_frames('Si8', 2), generate_frames('Si3', 2, seed=1), flat])


def moved(frames, step, rng):
    strain = np.eye(3) + rng.normal(0, step / 10, (len(frames), 3, 3))
    positions = np.einsum('ai,aij->aj', frames.positions, strain[frames.frame_of_atom])
    return frames.replace(positions=positions + rng.normal(0, step, positions.shape), cells=frames.cells @ strain)


def vectors(crowd):
    found = crowd.positions[crowd.neighbour] - crowd.positions[crowd.centre]
    return np.column_stack([crowd.centre, found])


def sorted_rows(rows):
    rounded = np.round(rows, 6) + 0.0
    return rounded[np.lexsort(rounded.T[::-1])]


def test_all_pairs_are_found(frames):
    crowd = Neighbours(CUTOFF)(frames)
    expected = []
    for start, atoms in zip(frames.offsets, frames.to_atoms(), strict=False):
        centre, vector = neighbor_list('iD', atoms, CUTOFF)
        expected.append(np.column_stack([centre + start, vector]))
    assert sorted_rows(vectors(crowd)) == pytest.approx(sorted_rows(np.concatenate(expected)), abs=2e-6)
    images = crowd.neighbour[crowd.neighbour >= len(frames.numbers)]
    assert np.array_equal(crowd.owner[images], frames.frame_of_atom[crowd.atoms[images]])


@pytest.mark.parametrize('step', [0.01, 0.03, 0.3])
def test_kept_lists_give_what_new_ones_give_to_the_last_bit(frames, step):
    """Small steps leave the lists as they are, long ones do not; either way the pairs and their order are the same."""
    rng, kept = np.random.default_rng(1), Neighbours(CUTOFF)
    frames = frames.replace(source=np.arange(len(frames)) + 7)
    for _ in range(12):
        found, expected = kept(frames), Neighbours(CUTOFF)(frames)
        assert np.array_equal(found.centre, expected.centre)
        assert np.array_equal(vectors(found), vectors(expected))
        order = np.argsort(found.positions[found.neighbour], axis=0, kind='stable')
        assert np.array_equal(order, np.argsort(expected.positions[expected.neighbour], axis=0, kind='stable'))
        frames = moved(frames, step, rng)
    assert (kept.built < 12 * len(frames)) == (step < 0.3)


def test_frames_that_come_and_go_do_not_take_the_lists_of_others(generate_frames):
    frames = generate_frames('Si4', 6).replace(source=np.arange(6))
    kept = Neighbours(CUTOFF)
    kept(frames.select([0, 1, 2]))
    chosen = frames.select([2, 4, 0])
    assert np.array_equal(vectors(kept(chosen)), vectors(Neighbours(CUTOFF)(chosen)))
    assert kept.built == 4
    other = frames.select([5]).replace(source=[0])
    assert np.array_equal(vectors(kept(other)), vectors(Neighbours(CUTOFF)(other)))


def test_members_of_an_ensemble_share_the_search(frames):
    neighbourhoods = Neighbourhoods()
    assert neighbourhoods(5.0) is neighbourhoods(5.0)
    assert neighbourhoods(5.0) is not neighbourhoods(6.0)
    first = neighbourhoods(5.0)(frames)
    assert neighbourhoods(5.0)(frames) is first
    assert neighbourhoods(5.0).built == len(frames)


def test_forces_of_images_belong_to_their_atoms(frames):
    """The energy Σ½|d|² over pairs has forces that add up to nothing, and the virial −Σ½ d⊗d of each crystal."""
    crowd = Neighbours(CUTOFF)(frames)
    pairs = vectors(crowd)[:, 1:]
    forces = np.zeros_like(crowd.positions)
    np.add.at(forces, crowd.centre, pairs / 2)
    np.add.at(forces, crowd.neighbour, -pairs / 2)
    on_atoms, virial = crowd.gather(forces)
    owner = frames.frame_of_atom
    for index in range(len(frames)):
        assert on_atoms[owner == index].sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
        mine = pairs[owner[crowd.centre] == index]
        assert virial[index] == pytest.approx(-(mine.T @ mine) / 2, abs=1e-9)


def test_lonely_atom_has_no_neighbours(generate_frames):
    cell = np.diag([20.0, 20.0, 20.0])
    lonely = Frames(np.array([14]), np.array([0, 1]), np.zeros((1, 3)), cell[None])
    assert len(Neighbours(CUTOFF)(lonely).centre) == 0
    both = Frames.concatenate([lonely, generate_frames('Si4', 1)])
    assert not np.any(Neighbours(CUTOFF)(both).centre == 0)
