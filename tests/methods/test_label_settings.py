"""Tests for the comparison of settings."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.orm import KpointsData

from aiida_prospect.methods.label_settings import find_conflicts, functional_name, smearing_name, spacing_interval

PBE = {
    'code': 'quantumespresso',
    'functional': 'PBE',
    'pseudopotentials': {'Si': 'abc'},
    'ecutwfc': 408.17,
    'kpoints_distance': [0.2, 0.2],
    'smearing': 'cold',
    'degauss': 0.136,
    'spin': 'none',
}


@pytest.mark.parametrize('seed', range(10))
def test_the_interval_holds_the_distance_that_a_mesh_was_made_with(seed):
    rng = np.random.default_rng(seed)
    cell, distance = np.eye(3) * rng.uniform(3, 9, 3) + rng.uniform(-1, 1, (3, 3)), rng.uniform(0.1, 0.8)
    kpoints = KpointsData()
    kpoints.set_cell(cell.tolist())
    kpoints.set_kpoints_mesh_from_density(distance)
    mesh = kpoints.get_kpoints_mesh()[0]
    low, high = spacing_interval(cell, mesh)
    assert low <= distance < high
    coarser = spacing_interval(cell, [max(n - 1, 1) for n in mesh])
    assert not coarser[0] <= distance < coarser[1] or list(mesh) == [1, 1, 1]


def test_equal_settings_have_no_conflict_and_what_is_not_known_is_not_compared():
    assert find_conflicts({'a': PBE, 'b': dict(PBE), 'c': {}}) == []
    assert find_conflicts({'a': PBE, 'b': {'code': 'quantumespresso', 'ecutwfc': 408.1701}}) == []


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('code', 'vasp', ['vasp in b', 'quantumespresso in a']),
        ('functional', 'LDA', ['PBE in a', 'LDA in b']),
        ('pseudopotentials', {'Si': 'xyz'}, ['pseudopotential of Si', 'abc in a']),
        ('ecutwfc', 544.0, ['408.2 eV in a', '544.0 eV in b']),
        ('kpoints_distance', [0.25, 0.3], ['at least 0.250 1/Å in b', '0.200 1/Å in a']),
        ('smearing', 'gaussian', ['cold in a']),
        ('degauss', 0.2, ['0.136 eV']),
        ('spin', 'collinear', ['none in a', 'collinear in b']),
    ],
)
def test_a_difference_is_told_with_both_values(name, value, words):
    (conflict,) = find_conflicts({'a': PBE, 'b': {**PBE, name: value}})
    assert all(word in conflict for word in words), conflict


def test_meshes_that_one_distance_can_have_made_agree():
    assert find_conflicts({'a': {'kpoints_distance': [0.15, 0.22]}, 'b': {'kpoints_distance': [0.19, 0.4]}}) == []
    assert find_conflicts({'a': {'kpoints_distance': [0.15, 0.18]}, 'b': {'kpoints_distance': [0.19, 0.4]}})


def test_one_thing_has_one_name():
    assert {smearing_name(name) for name in ('cold', 'mv', 'Marzari-Vanderbilt', 'm-v')} == {'cold'}
    assert {functional_name(name) for name in ('PBE', 'SLA PW PBX PBC', 'sla+pw+pbx+pbc')} == {'PBE'}
