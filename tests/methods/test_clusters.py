import numpy as np
import pytest
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.clusters import (
    NO_MINIMUM,
    UNCERTAIN,
    ClusterSettings,
    cluster,
    compositions,
    relative_energies,
    same_crystal,
)
from aiida_prospect.methods.fingerprints import TOLERANCE, fingerprints


@pytest.fixture
def relaxed(silicon_phases, written_differently):
    """Return a pool of four slightly different copies of each phase, and the number of the phase of each frame."""
    rng = np.random.default_rng(0)
    structures, energies, phases = [], [], []
    for number, atoms in enumerate(silicon_phases.values()):
        for repeat in ((1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 2, 1)):
            copy = written_differently(atoms, rng, repeat)
            copy.positions += rng.normal(0, 0.005, (len(copy), 3))
            structures.append(copy)
            energies.append((0.03 * number + rng.uniform(0, 0.003)) * len(copy))
            phases.append(number)
    order = rng.permutation(len(structures))
    frames = Frames.from_atoms(structures, energy=energies).select(order)
    return frames, np.array(phases)[order]


def partition(labels):
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def test_copies_cluster_and_phases_do_not_merge(relaxed):
    frames, phases = relaxed
    clusters = cluster(frames, fingerprints(frames))
    assert partition(clusters.labels) == partition(phases)
    assert np.all(np.diff(clusters.energies) >= 0)
    assert clusters.sizes.tolist() == [4] * len(np.unique(phases))
    for number, index in enumerate(clusters.representatives):
        members = clusters.labels == number
        assert clusters.labels[index] == number
        assert frames.energy_per_atom[index] == frames.energy_per_atom[members].min() == clusters.energies[number]


def test_phases_of_equal_energy_do_not_merge(relaxed):
    frames, phases = relaxed
    frames = frames.replace(energy=-5.0 * frames.n_atoms)
    assert partition(cluster(frames, fingerprints(frames)).labels) == partition(phases)


def test_copies_of_different_energy_do_not_merge():
    """Then one of them is something else, or the potential is not to be trusted there."""
    frames = Frames.from_atoms([bulk('Si')] * 2, energy=[-10.0, -9.8])
    assert len(cluster(frames, fingerprints(frames))) == 2


def test_order_of_the_pool_does_not_matter(relaxed):
    frames, _ = relaxed
    points = fingerprints(frames)
    order = np.random.default_rng(5).permutation(len(frames))
    one, other = cluster(frames, points), cluster(frames.select(order), points[order])
    assert np.array_equal(one.labels[order], other.labels)
    assert np.array_equal(one.representatives, order[other.representatives])


def test_what_is_no_minimum_has_no_cluster():
    status = ['converged', 'unphysical', 'uncertain', 'failed', 'max_steps', 'no_progress', 'converged', 'uncertain']
    energy = [-10.0, -90.0, -20.0, -9.0, -10.0, -10.0, np.nan, np.nan]
    frames = Frames.from_atoms([bulk('Si')] * 8, energy=energy, status=status)
    labels = cluster(frames, fingerprints(frames)).labels
    out, doubt = NO_MINIMUM, UNCERTAIN
    assert labels.tolist() == [0, out, doubt, out, 0, 0, out, out]
    assert np.allclose(relative_energies(frames, labels)[[0, 2]], [0, -5])


def test_nothing_but_failures():
    frames = Frames.from_atoms([bulk('Si')] * 2, energy=[np.nan] * 2)
    clusters = cluster(frames, fingerprints(frames))
    assert len(clusters) == 0
    assert clusters.labels.tolist() == [-1, -1]


def test_without_energies_each_frame_stands_for_itself():
    frames = Frames.from_atoms([bulk('Si'), bulk('Si'), bulk('Si', 'bcc', a=3)])
    clusters = cluster(frames, fingerprints(frames))
    assert clusters.labels.tolist() == clusters.representatives.tolist() == [0, 1, 2]
    assert np.isnan(clusters.energies).all()


def test_compositions_are_compared_with_themselves(salts, written_differently):
    """NaCl2 at −3 eV/atom is not lower than NaCl at −2: both lead their composition."""
    rng = np.random.default_rng(0)
    salt, cscl = salts['rock salt'], salts['CsCl']
    rich = bulk('Na', 'fcc', a=5.0).repeat((3, 1, 1))
    rich.symbols = ['Na', 'Cl', 'Cl']
    structures = [cscl, salt, written_differently(salt, rng, (2, 2, 1)), rich]
    energies = [-1.9 * 2, -2.0 * 2, -1.999 * 8, -3.0 * 3]
    frames = Frames.from_atoms(structures, energy=energies)
    assert len(np.unique(compositions(frames))) == 2
    clusters = cluster(frames, fingerprints(frames))
    assert len(clusters) == 3
    assert clusters.labels[1] == clusters.labels[2] != clusters.labels[0]
    assert set(clusters.representatives[:2]) == {1, 3}
    assert clusters.representatives[2] == 0


def test_matcher_joins_what_the_fingerprint_holds_apart():
    """A minimum whose volume is not yet relaxed lies outside the tolerance but is the same crystal."""
    loose = bulk('Si', a=5.43 * 1.008)
    frames = Frames.from_atoms([bulk('Si', a=5.43), loose], energy=[-10.0, -9.99])
    points = fingerprints(frames)
    assert TOLERANCE < np.linalg.norm(points[0] - points[1]) < 2.5 * TOLERANCE
    assert len(cluster(frames, points, ClusterSettings(n_matched=0))) == 2
    assert len(cluster(frames, points)) == 1


def test_matcher_splits_what_the_fingerprint_throws_together(silicon_phases):
    """With a tolerance so wide that diamond and 4H are one."""
    frames = Frames.from_atoms([silicon_phases['diamond'], silicon_phases['4H'].copy()], energy=[-10.0, -39.99])
    points = fingerprints(frames)
    wide = 0.05
    assert len(cluster(frames, points, ClusterSettings(tolerance=wide, n_matched=0))) == 1
    assert len(cluster(frames, points, ClusterSettings(tolerance=wide))) == 2


def rattled(atoms, rng, n_copies, noise=0.005):
    copies = [atoms.copy() for _ in range(n_copies)]
    for copy in copies:
        copy.positions += rng.normal(0, noise, (len(copy), 3))
    return copies


def test_what_leaves_a_cluster_takes_its_copies_along_and_no_others(silicon_phases):
    """To the fingerprint all are one cluster; diamond is the lowest, but its copies are higher than those of 4H."""
    rng = np.random.default_rng(0)
    structures = [*rattled(silicon_phases['diamond'], rng, 3), *rattled(silicon_phases['4H'], rng, 3)]
    energy = np.array([-5.0, -4.996, -4.995, -4.999, -4.998, -4.997])
    frames = Frames.from_atoms(structures, energy=energy * [len(atoms) for atoms in structures])
    points = fingerprints(frames)
    assert len(cluster(frames, points, ClusterSettings(tolerance=0.05, n_matched=0))) == 1
    assert cluster(frames, points, ClusterSettings(tolerance=0.05)).labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_no_frame_is_lower_than_the_one_that_stands_for_its_cluster(silicon_phases):
    """Also where so many leave a cluster that not all are looked at, and those that are not are the lowest."""
    rng = np.random.default_rng(0)
    structures = [silicon_phases['diamond'], *rattled(silicon_phases['4H'], rng, 9)]
    frames = Frames.from_atoms(structures)
    points = fingerprints(frames)
    energy = -5 + 0.0008 * np.argsort(np.argsort(np.linalg.norm(points - points[0], axis=1)))
    clusters = cluster(frames.replace(energy=energy * frames.n_atoms), points, ClusterSettings(tolerance=0.05))
    assert len(clusters) > 1
    for number, index in enumerate(clusters.representatives):
        assert energy[index] == energy[clusters.labels == number].min()


def test_same_crystal(silicon_phases, written_differently):
    rng = np.random.default_rng(3)
    diamond = silicon_phases['diamond']
    frames = Frames.from_atoms([diamond, written_differently(diamond, rng, (2, 2, 1)), silicon_phases['lonsdaleite']])
    assert same_crystal(frames, 0, 1)
    assert not same_crystal(frames, 0, 2)


def test_ten_thousand_frames():
    rng = np.random.default_rng(0)
    n_frames = 10_000
    frames = Frames.from_atoms([bulk('Si')] * n_frames, energy=2 * rng.gamma(4, 0.1, n_frames))
    points = rng.normal(size=(n_frames, 252))
    points /= np.linalg.norm(points, axis=1)[:, None]
    points[5000:] = points[:5000] + rng.normal(0, 1e-4, (5000, 252))
    frames = frames.replace(energy=np.concatenate([frames.energy[:5000], frames.energy[:5000] + 1e-3]))
    clusters = cluster(frames, points, ClusterSettings(n_matched=0))
    assert np.array_equal(clusters.labels[:5000], clusters.labels[5000:])
    assert len(clusters) == 5000


def test_bad_input():
    frames = Frames.from_atoms([bulk('Si')])
    with pytest.raises(ValueError, match='2 fingerprints for 1 frames'):
        cluster(frames, np.zeros((2, 3)))
    with pytest.raises(ValueError, match='positive'):
        ClusterSettings(tolerance=0)


def test_every_frame_has_the_lowest_leader_within_reach():
    """What is found by way of projections is what all distances tell."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 30))
    marks = centres[rng.integers(40, size=400)] + rng.normal(0, 0.003, (400, 30))
    energy = rng.uniform(0, 0.05, 400)
    frames = Frames.from_atoms([bulk('Si')] * 400, energy=2 * energy)
    settings = ClusterSettings(n_matched=0)
    clusters = cluster(frames, marks, settings)
    leaders: list[int] = []
    for index in np.argsort(energy):
        gaps, distances = energy[index] - energy[leaders], np.linalg.norm(marks[leaders] - marks[index], axis=1)
        near = (gaps <= settings.energy_tolerance) & (distances < settings.tolerance)
        number = int(np.argmax(near)) if near.any() else len(leaders)
        if number == len(leaders):
            leaders.append(int(index))
        assert clusters.labels[index] == number
    assert clusters.representatives.tolist() == leaders
    assert 40 < len(leaders) < 400
