"""All values of all protocols, with the comments beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import yaml

from aiida_prospect.workflows.protocols import load_protocol, protocol_descriptions
from generators.text import table

FOLDER = 'aiida_prospect.workflows.protocols'
MAPPING = object()
COMMENT = re.compile(r'\s*# ?(.*)')
TRAILING = re.compile(r'^[^#]*\s# (.*)')


def protocols() -> str:
    """Return a section for each file."""
    names = sorted(item.name.removesuffix('.yaml') for item in files(FOLDER).iterdir() if item.name.endswith('.yaml'))
    return '\n'.join(section(name) for name in names)


def section(name: str) -> str:
    """Return what a file says of itself, its protocols, and its values in each of them."""
    text = files(FOLDER).joinpath(f'{name}.yaml').read_text()
    content = yaml.safe_load(text)
    described = protocol_descriptions(name)
    by_default = content['default_protocol']
    said = [f'- `{key}`{" (the default)" if key == by_default else ""}: {words}' for key, words in described.items()]
    values = {key: dict(leaves(load_protocol(name, key))) for key in described}
    notes = comments(text)
    rows = [
        (f'`{path}`', *(show(values[key].get(path, MAPPING)) for key in described), notes.get(path, ''))
        for path in dict.fromkeys([*notes, *values[by_default]])
    ]
    order = {path: number for number, path in enumerate(paths(content['default_inputs']))}
    rows.sort(key=lambda row: order.get(row[0].strip('`'), len(order)))
    free, nullable = (', '.join(f'`{item}`' for item in content.get(key, ())) for key in ('free', 'nullable'))
    intro = [f'## {name}\n', f'{heading(text)}\n', '\n'.join(said) + '\n']
    if free:
        intro.append(f'Any key may be added under {free}.\n')
    if nullable:
        intro.append(f'`null` may stand for {nullable}, and for what is `null` here.\n')
    return '\n'.join([*intro, table(('key', *described, ''), rows)])


def paths(values: Any, prefix: str = '') -> Iterator[str]:
    """Yield the paths of all keys in the order of the file, those of mappings too."""
    for key, value in values.items():
        yield f'{prefix}{key}'
        if isinstance(value, dict):
            yield from paths(value, f'{prefix}{key}.')


def leaves(values: dict[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield path and value of each value that is no mapping, or an empty one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def show(value: Any) -> str:
    """Return a value as YAML has it, nothing for a mapping, whose values have rows of their own."""
    if value is MAPPING:
        return ''
    return f'`{yaml.safe_dump([value], default_flow_style=True, width=1000).strip()[1:-1]}`'


def heading(text: str) -> str:
    """Return the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.lstrip('# '))
    return ' '.join(lines)


def comments(text: str) -> dict[str, str]:
    """Return the comments above and behind keys of `default_inputs`, by path."""
    root = yaml.compose(text)
    defaults = next(value for key, value in root.value if key.value == 'default_inputs')
    lines = text.splitlines()
    return dict(_comments(defaults, lines, ''))


def _comments(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.value:
        path, number = f'{prefix}{key.value}', key.start_mark.line
        above = []
        while number > 0 and (found := COMMENT.fullmatch(lines[number - 1 - len(above)])):
            above.insert(0, found[1])
        behind = TRAILING.match(lines[number])
        words = ' '.join(above + ([behind[1]] if behind else []))
        # Several keys on one line have one comment, that of the first.
        if words and key.start_mark.column == len(lines[number]) - len(lines[number].lstrip()):
            yield path, words
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _comments(value, lines, f'{path}.')
