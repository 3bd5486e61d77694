"""Tests for the path to a minimum."""

from __future__ import annotations

import json

import click
import pytest
from aiida import orm
from ase.build import bulk

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.workflows.provenance.history import minimum_of, trace


def minima(search):
    return [search.outputs.structures[name] for name in sorted(search.outputs.structures)]


def test_path_leads_from_a_random_crystal_to_the_minimum(search):
    for rank, minimum in enumerate(minima(search)):
        history = json.loads(json.dumps(trace(minimum)))
        assert (history['search'], history['minimum']['rank']) == (search.pk, rank)
        born = orm.load_node(history['birth']['pool']).frames
        assert born.origin[history['birth']['frame']] == history['origin']
        assert history['final']['energy_per_atom'] == pytest.approx(history['minimum']['energy_per_atom'])


def test_energies_on_the_path_are_those_of_the_pools(search):
    history = trace(minima(search)[0])
    relaxed = [stage for stage in history['path'] if stage['in_pool']]
    assert relaxed
    for stage in relaxed:
        pool = search.outputs[f'cycle_{stage["cycle"]:02d}'].pool.frames
        assert pool.origin[stage['frame']] == history['origin']
        assert stage['energy_per_atom'] == pytest.approx(pool.energy_per_atom[stage['frame']])
        assert stage['status'] == pool.status[stage['frame']]


def test_what_was_relaxed_at_the_end_is_found_again(search):
    for minimum in minima(search):
        history = trace(minimum)
        entry = history['final']['from']
        if entry['kind'] == 'pool':
            assert search.outputs.cycle_01.pool.frames.origin[entry['frame']] == history['origin']
        else:
            assert entry['index'] in [label['index'] for label in history['labels']]


def test_a_restart_keeps_the_history(restarted_search):
    history = trace(minima(restarted_search)[0])
    assert [stage['cycle'] for stage in history['path']] == [0, 1]
    assert history['birth']


def test_other_structures_are_refused(search, capsys):
    with pytest.raises(ValueError, match='no minimum of a search'):
        trace(search.inputs.references.diamond)
    with pytest.raises(ValueError, match='no minimum of a search'):
        trace(orm.StructureData(ase=bulk('Si')))
    cmd_root.main(['history', str(minima(search)[0].pk)], prog_name='aiida-prospect', standalone_mode=False)
    text = capsys.readouterr().out
    for words in ('Begins as: ', 'spread meV/atom', 'Final relaxation, from'):
        assert words in text


def test_a_minimum_is_named_by_its_place_in_the_ranking(search):
    for rank, minimum in enumerate(minima(search)):
        assert minimum_of(search, rank).pk == minimum.pk
    number = len(minima(search))
    with pytest.raises(ValueError, match=f'has no minimum {number}: it has {number}, counted from 0'):
        minimum_of(search, number)
    command = ['history', str(search.called[0].pk)]
    with pytest.raises(click.ClickException, match='is no search but a generate_pool'):
        cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)


def test_a_search_and_its_minimum_have_the_same_history(search, capsys):
    told = []
    for words in ([str(search.pk)], [str(search.pk), '0'], [str(minima(search)[0].pk)]):
        cmd_root.main(['history', *words], prog_name='aiida-prospect', standalone_mode=False)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] == told[2]
