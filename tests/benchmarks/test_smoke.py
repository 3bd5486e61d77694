"""Tests of the benchmarks in short: what is said of the figures, and that a failure is one."""

import json
import sys

import pytest
from click.testing import CliRunner

from benchmarks import conditions
from benchmarks.smoke import __main__ as command
from benchmarks.smoke import report
from benchmarks.smoke.parts import PARTS, Part

PART = Part('none', larger=('speed',), smaller=('cost',))


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('speed', 10.5, 'as before'),
        ('speed', 7.0, 'WORSE'),
        ('speed', 14.0, 'better'),
        ('cost', 14.0, 'WORSE'),
        ('cost', 7.0, 'better'),
        ('speed', 0.0, 'WORSE'),
        ('colour', 0.0, ''),
    ],
)
def test_only_what_is_beyond_the_noise_is_called_better_or_worse(name, value, expected):
    assert report.verdict(PART, name, value, 10.0) == expected
    assert report.verdict(PART, name, value, None) == ''


def test_every_part_is_there_and_judges_what_it_explains():
    for part in PARTS.values():
        assert {*part.larger, *part.smaller} <= set(part.words)
        assert not set(part.larger) & set(part.smaller)


def run(monkeypatch, tmp_path, figures):
    """Run the command with a part that gives these figures, or fails if there are none."""
    (tmp_path / 'short_form.py').write_text(f'def smoke():\n    return dict({figures!r})\n')
    monkeypatch.setattr(command, 'PARTS', {'relax_throughput': Part('short_form', larger=('rate_over_ase',))})
    monkeypatch.setattr(report, 'REFERENCE', tmp_path / 'kept.json')
    kept = {'parts': {'relax_throughput': {'figures': {'rate_over_ase': 8.0}}}}
    (tmp_path / 'kept.json').write_text(json.dumps(kept))
    program = 'import json, short_form; print("figures: " + json.dumps(short_form.smoke()))'
    real = command.subprocess.run

    def run_here(arguments, **options):
        return real([sys.executable, '-c', program] if '--here' in arguments else arguments, **options)

    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(command.subprocess, 'run', run_here)
    monkeypatch.setattr(report, 'PARTS', command.PARTS)
    return CliRunner().invoke(command.main, ['--output', str(tmp_path / 'out')])


def test_worse_figures_are_named_and_fail_nothing(monkeypatch, tmp_path):
    done = run(monkeypatch, tmp_path, {'rate_over_ase': 4.0})
    assert done.exit_code == 0
    assert 'WORSE' in done.output
    stored = json.loads((tmp_path / 'out' / 'smoke.json').read_text())
    assert stored['parts']['relax_throughput']['figures'] == {'rate_over_ase': 4.0}
    assert (tmp_path / 'out' / 'smoke.md').read_text() in done.output


def test_failure_of_a_part_is_one(monkeypatch, tmp_path):
    done = run(monkeypatch, tmp_path, None)
    assert done.exit_code == 1
    assert 'failed' in (tmp_path / 'out' / 'smoke.md').read_text()


def test_stored_commands_name_no_place_of_this_machine(monkeypatch):
    words = ['--pytorch', '/opt/x/bin/python3', '--models', '/opt/models', '--only', 'a-b']
    monkeypatch.setattr(sys, 'argv', ['run.py', *words])
    assert conditions.command().endswith(' --pytorch PYTHON --models PATH --only a-b')
