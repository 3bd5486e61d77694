"""Tests that protocols refuse overrides that would end a search long after it was begun."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml

from aiida_prospect.workflows.protocols import ProtocolError, load_protocol

FOLDER = files('aiida_prospect.workflows.protocols')
NAMES = sorted(item.name.removesuffix('.yaml') for item in FOLDER.iterdir() if item.name.endswith('.yaml'))


def values_of(mapping, path=()):
    """Yield path and value of everything in nested mappings, also of the mappings."""
    for key, value in mapping.items():
        yield (*path, key), value
        if isinstance(value, dict):
            yield from values_of(value, (*path, key))


def nothing_at(path):
    """Return overrides with nothing for what is at a path."""
    overrides = None
    for key in reversed(path):
        overrides = {key: overrides}
    return overrides


@pytest.mark.parametrize('name', NAMES)
def test_nothing_stands_only_for_what_may_be_missing(name):
    content = yaml.safe_load(FOLDER.joinpath(f'{name}.yaml').read_text())
    free, nullable = (set(content.get(key, ())) for key in ('free', 'nullable'))
    found = {'.'.join(path): (path, value) for path, value in values_of(content['default_inputs'])}
    assert nullable <= set(found)
    for where, (path, value) in found.items():
        overrides = nothing_at(path)
        if value is None or where in nullable or any(where.startswith(f'{item}.') for item in free):
            left = load_protocol(name, None, overrides)
            for key in path:
                left = left[key]
            assert left is None
        else:
            with pytest.raises(ProtocolError, match=f'`{where}` is null'):
                load_protocol(name, None, overrides)
