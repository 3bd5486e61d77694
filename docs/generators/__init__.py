"""Parts of the documentation that are made from the code, so that they cannot be out of date.

A page of `docs/reference` has a line `<!-- generated: NAME -->`, which a reader of the plain file does not see; the
site has there what the function of that name returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from generators import commands, plugins, processes, protocols

GENERATORS: dict[str, Callable[[], str]] = {
    'calculations': processes.calculations,
    'commands': commands.commands,
    'data': plugins.data,
    'parsers': plugins.parsers,
    'protocols': protocols.protocols,
    'strategies': plugins.strategies,
    'calculators': plugins.calculators,
    'work chains': processes.work_chains,
}
PLACEHOLDER = re.compile(r'<!-- generated: ([a-z ]+) -->')
# The tree of the site. The front page links to the same pages in words, for readers without the site.
CONTENTS = {
    'Tutorial': ('tutorial',),
    'How-to guides': (
        'labels',
        'deployment',
        'campaigns',
        'trust',
        'own_structures',
        'restarting',
        'results',
        'other_projects',
        'command_line',
        'contributing',
    ),
    'Reference': (
        'reference/commands',
        'reference/work_chains',
        'reference/calculations',
        'reference/plugins',
        'reference/protocols',
        'reference/api',
    ),
    'Explanation': (
        'method',
        'architecture',
        'benchmarks',
        'benchmarks_label_efficiency',
        'benchmarks_relaxation',
        'benchmarks_training',
        'benchmarks_audit',
        'scale',
        'faults',
    ),
}
# Files outside of `docs` that pages link to, and where the site has them.
MOVED = {'../CONTRIBUTING.md': 'contributing.md', 'docs/images/': 'images/'}


def on_source_read(_: Any, page: str, source: list[str]) -> None:
    """Complete a page before Sphinx reads it."""
    text = PLACEHOLDER.sub(lambda match: GENERATORS[match[1]](), source[0])
    for there, here in MOVED.items():
        text = text.replace(f']({there}', f']({here}')
    if page == 'index':
        text += ''.join(toctree(caption, pages) for caption, pages in CONTENTS.items())
    source[0] = text


def toctree(caption: str, pages: tuple[str, ...]) -> str:
    """Return one part of the navigation."""
    listed = '\n'.join(pages)
    return f'\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n'
