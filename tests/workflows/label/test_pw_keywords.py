"""Tests that misspelt keywords of pw.x are seen, and newer ones left alone."""

import re

import pytest

from aiida_prospect.workflows.label.pw_keywords import check_keywords
from aiida_prospect.workflows.protocols import load_protocol, merge


@pytest.mark.parametrize(
    ('parameters', 'sentence'),
    [
        ({'SYSTEM': {'degaus': 0.01}}, 'no keyword `degaus` in SYSTEM; did you mean `degauss`'),
        ({'cell': {'Pres_conv_thr': 0.1}}, 'did you mean `press_conv_thr`'),
        ({'CONTROL': {'degauss': 0.01}}, '`degauss` is a keyword of SYSTEM, it is given in CONTROL'),
        ({'SYSTEM': {'starting_magnetisation(1)': 0.5}}, 'did you mean `starting_magnetization`'),
    ],
)
def test_misspelt_keywords(parameters, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_keywords(parameters)


def test_newer_keywords_and_other_spellings_are_left_to_the_program():
    system = {'nbnd_cond': 8, 'twochem': True, 'Hubbard_U': {'Fe': 4.0}}
    check_keywords({'SYSTEM': system, 'FCP': {'fcp_conv_thr': 0.1}})


@pytest.mark.parametrize('protocol', ['fast', 'balanced', 'stringent'])
def test_protocols_have_no_misspelt_keywords(protocol):
    values = load_protocol('label_quantumespresso', protocol)
    check_keywords(values['parameters'])
    check_keywords(merge(values, values['relax'])['parameters'])
