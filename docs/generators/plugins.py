"""Data types, parsers, selection strategies and calculators that this package registers."""

from __future__ import annotations

import inspect

from aiida.orm import Data

from generators.text import documentation, own_entry_points, table


def data() -> str:
    """Return a section for each data type."""
    parts = []
    for entry_point in own_entry_points('aiida.data'):
        loaded = entry_point.load()
        body, _ = documentation(loaded)
        own = [item for item in vars(loaded).items() if not item[0].startswith('_') and not hasattr(Data, item[0])]
        public = [(name, documentation(value)[0].split('\n\n')[0]) for name, value in own if inspect.getdoc(value)]
        members = table(('member', 'meaning'), [(f'`{name}`', text) for name, text in public])
        parts.append(f'### {entry_point.name}\n\n`{entry_point.value.replace(":", ".")}`\n\n{body}\n\n{members}')
    return '\n'.join(parts)


def parsers() -> str:
    """Return all parsers."""
    return _listed('aiida.parsers')


def strategies() -> str:
    """Return all selection strategies."""
    return _listed('aiida_prospect.selection')


def calculators() -> str:
    """Return all short names of calculators."""
    return _listed('aiida_prospect.calculators')


def _listed(group: str) -> str:
    found = [
        (item.name, item.value.replace(':', '.'), documentation(item.load())[0]) for item in own_entry_points(group)
    ]
    header = ('name', 'where', 'what')
    return table(header, [(f'`{name}`', f'`{path}`', text.split('\n\n')[0]) for name, path, text in found])
