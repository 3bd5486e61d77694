"""Tests how a file of overrides is read."""

from __future__ import annotations

import pytest
import yaml

from aiida_prospect.cli.overrides import read_overrides, read_sections


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file."""

    def write_file(content):
        path = tmp_path / 'overrides.yaml'
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.mark.parametrize('text', ['1e-4', '1E-4', '+1e-4', '.1e-3', '1.e-4', '1.0e-4', '0.0001'])
def test_numbers_with_an_exponent(write, text):
    assert read_overrides(write(f'fmax: {text}')) == {'fmax': 1e-4}
    assert read_overrides(write(f'fmax: -{text.removeprefix("+")}')) == {'fmax': -1e-4}


@pytest.mark.parametrize('text', ['1e', 'e-4', '1e-4x', 'pw_1e4', '"1e-4"', '10', 'true', 'null', '1-4'])
def test_all_else_is_read_as_ever(write, text):
    """What is no number stays what PyYAML makes of it."""
    assert read_overrides(write(f'name: {text}')) == yaml.safe_load(f'name: {text}')


def test_other_readers_are_left_alone(write):
    read_overrides(write('fmax: 1e-4'))
    assert yaml.safe_load('1e-4') == '1e-4'


@pytest.mark.parametrize('content', ['', '# nothing yet', '---', '{}'])
def test_empty_file(write, content):
    assert read_sections(write(content)) == {}


def test_empty_section(write):
    assert read_sections(write('explore:\npool: {n_structures: 5}')) == {'explore': {}, 'pool': {'n_structures': 5}}


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('- pool\n- train', 'holds a list of 2: write `name: value` in each line'),
        ('pool', 'holds `pool`: write'),
        ('pool: 5', 'the section `pool` of .* is `5`: give it values'),
        ('train:\n- n_models', 'the section `train` of .* is a list of 1: give it values'),
        ('pool: {}\n---\npool: {}', 'holds 2 documents: remove the lines `---`'),
        ('pool: {}\nlabel: {a: 1\n', 'overrides.yaml`, line 3, is no YAML: expected'),
        ('pool:\n\tn_structures: 5', 'line 2, is no YAML: found character .* cannot start any token; correct'),
        ('pool: !!python/name:os.system', 'line 1, is no YAML: could not determine a constructor'),
        (b'pool: {name: \xff}', 'is no YAML: .* write it anew as UTF-8'),
    ],
    ids=['list', 'text', 'number', 'list in a section', 'documents', 'bracket', 'tabulator', 'tag', 'encoding'],
)
def test_refused(write, content, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        read_sections(write(content))
    assert '\n' not in str(refusal.value)
    assert 'overrides.yaml' in str(refusal.value)
