"""Tests for where a search stands."""

from __future__ import annotations

import json

import pytest
from aiida.orm import Dict

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.cli.status import status_lines
from aiida_prospect.workflows.provenance.progress import progress_of, stage_in_words


@pytest.mark.parametrize(
    ('label', 'words'),
    [
        ('pool', ('', 'making the pool')),
        ('cycle_03_label', ('cycle 3', 'labelling')),
        ('final_label', ('final', 'relaxing the lowest with the reference method')),
        ('final_extract_01', ('final', 'storing the minima')),
    ],
)
def test_stages_in_words(label, words):
    assert stage_in_words(label) == words


def test_ended(search):
    progress = json.loads(json.dumps(progress_of(search)))
    assert progress['ended']
    assert progress['sentence'] == search.outputs.stop['sentence']
    assert progress['expected'] == {'least': 0, 'most': 0}
    assert progress['labels']['made'] == 9
    assert progress['labels']['waiting'] == 0
    assert set(progress['all_jobs']) == {'done'}


def test_begun(begun_search):
    progress = progress_of(begun_search)
    assert not progress['ended']
    assert progress['stage'] == 'starting'
    # The first six, and in each of the further cycles that the budget allows three.
    assert progress['expected'] == {'least': 6, 'most': 9}
    assert progress['best_energy'] is None
    text = '\n'.join(status_lines(progress))
    assert 'Labels still expected: 6 to 9' in text
    assert 'Best label: none yet' in text


@pytest.mark.parametrize(('given', 'least'), [(2, 4), (9, 0)])
def test_labels_that_were_there_are_not_expected(make_search, make_labels, given, least):
    inputs = {
        'budget': Dict({'max_cycles': 2}),
        'parameters': Dict({'selection': {'n_initial': 6, 'n_select': 3}}),
        'restart__labels__before_00': make_labels(given, 1),
        'restart__labels__before_01': make_labels(3, 2, 'failed'),
    }
    progress = progress_of(make_search(inputs, {}, ended=False))
    assert progress['expected'] == {'least': least, 'most': least + 3}


def test_failed(failed_search):
    progress = progress_of(failed_search)
    assert progress['sentence'].startswith('It failed before its end: cycle 0: 6 usable labels')
    assert progress['labels']['made'] == 6
    assert progress['expected'] == {'least': 0, 'most': 0}


def test_a_restart_counts_the_labels_that_were_there(restarted_search):
    assert progress_of(restarted_search)['labels']['made'] == 9


@pytest.mark.parametrize('options', [[], ['--watch', '--interval', '0.1']])
def test_what_a_user_reads(search, capsys, options):
    cmd_root.main(['status', str(search.pk), *options], prog_name='aiida-prospect', standalone_mode=False)
    text = capsys.readouterr().out
    assert 'Why it ended: ' in text
    assert 'Labels: 9 of at most 150 made' in text
    assert 'Last assessment: ' in text
