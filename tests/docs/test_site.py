"""Tests that the site builds without a warning, and that nothing is missing from its reference."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from aiida_prospect.cli.root import cmd_root

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytest.importorskip('sphinx')
pytest.importorskip('furo')

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['entry-points']
LINK = re.compile(r'\]\(([^)#:\s]+)(?:#[^)]*)?\)')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Return the folder of the site; a warning is an error."""
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-W', 'ignore', '-m', 'sphinx', '-W', '--keep-going', '-q', '-d', f'{folder}/doctrees']
    done = subprocess.run(
        [*command, str(ROOT / 'docs'), f'{folder}/html'],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'PYTHONWARNINGS': 'ignore'},
    )
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    return folder / 'html'


def reference(site: Path) -> str:
    """Return the text of the reference."""
    return '\n'.join(path.read_text() for path in sorted((site / 'reference').glob('*.html')))


def test_reference_has_every_entry_point(site):
    text = reference(site)
    missing = [name for group in ENTRY_POINTS.values() for name in group if f'{name}<' not in text]
    assert not missing


def test_reference_has_every_command_and_option(site):
    text = (site / 'reference' / 'commands.html').read_text()
    for name, command in cmd_root.commands.items():
        assert f'aiida-prospect {name}<' in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in text, (name, parameter.opts)


def test_reference_has_every_exit_code(site):
    from aiida_prospect.workflows.search import SearchWorkChain

    text = (site / 'reference' / 'work_chains.html').read_text()
    for name in ('ERROR_BUDGET_SPENT', 'ERROR_LABEL_FAILED'):
        assert getattr(SearchWorkChain.exit_codes, name).message.split('{')[0] in text


def test_reference_has_every_default_and_its_comment(site):
    text = (site / 'reference' / 'protocols.html').read_text()
    for path in (ROOT / 'workflows' / 'protocols').glob('*.yaml'):
        content = yaml.safe_load(path.read_text())
        assert f'{path.stem}<' in text
        for key in content['default_inputs']:
            assert f'>{key}<' in text or f'{key}.' in text, (path.stem, key)
        for protocol in content['protocols'].values():
            assert protocol['description'][:20] in text
    assert 'With fewer usable labels the search ends with an error.' in text


def test_links_work_without_the_site_too():
    """What a plain host of the repository shows are the files, so all links lead to files."""
    pages = [*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), *(ROOT / 'docs' / 'reference').glob('*.md')]
    for page in pages:
        for target in LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f'{page.name} links to {target}'
