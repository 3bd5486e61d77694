"""From docstrings, which are reStructuredText, to Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

ROLE = re.compile(r':(?:py:)?(?:class|func|meth|data|mod|attr):`~?([^`]+)`')
LITERAL = re.compile(r'``([^`]+)``')
FIELD = re.compile(r'^:(param|raises|return|returns)\b ?([^:]*): ?')
PACKAGE = 'aiida_prospect'


def own_entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of this package, by name."""
    return sorted((e for e in entry_points(group=group) if e.value.startswith(PACKAGE)), key=lambda e: e.name)


def markdown(text: str) -> str:
    """Return a text without the roles of Sphinx."""
    text = ROLE.sub(lambda match: f'`{match[1].rsplit(".", 1)[-1]}`', text)
    return LITERAL.sub(r'`\1`', text)


def documentation(thing: Any) -> tuple[str, dict[str, str]]:
    """Return what a docstring says, and its fields: parameters by name, `returns` and `raises`."""
    body: list[str] = []
    fields: dict[str, str] = {}
    name = ''
    for line in (inspect.getdoc(thing) or '').splitlines():
        found = FIELD.match(line)
        if found:
            name = found[2] if found[1] == 'param' else found[1].rstrip('s') + 's'
            fields[name] = line[found.end() :]
        elif name:
            fields[name] += f' {line.strip()}'
        else:
            body.append(line)
    return markdown('\n'.join(body)).strip(), {key: markdown(value) for key, value in fields.items()}


def cell(text: Any) -> str:
    """Return what may stand in a cell of a table."""
    return ' '.join(markdown(str(text)).split()).replace('|', '\\|')


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table, or that there is nothing."""
    lines = [f'| {" | ".join(map(cell, row))} |' for row in rows]
    if not lines:
        return 'None.\n'
    return '\n'.join([f'| {" | ".join(header)} |', f'|{"---|" * len(header)}', *lines]) + '\n'
