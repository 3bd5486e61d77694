"""Values that a user lays over the protocols, in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class OverridesLoader(yaml.SafeLoader):
    """Reads `1e-4` as a number, as YAML 1.2 does; to YAML 1.1, and so to PyYAML, it is text."""


OverridesLoader.add_implicit_resolver(
    'tag:yaml.org,2002:float', re.compile(r'[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$'), list('-+.0123456789')
)


def read_overrides(path: Path) -> dict[str, Any]:
    """Read the values for one protocol; an empty file has none.

    :raises ValueError: if the file is not one mapping in YAML.
    """
    documents = _load(path)
    if len(documents) > 1:
        raise ValueError(f'`{path}` holds {len(documents)} documents: remove the lines `---`, or make a file of each')
    values = documents[0] if documents else None
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ValueError(f'`{path}` holds {_kind(values)}: write `name: value` in each line')
    return {str(name): value for name, value in values.items()}


def read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """Read the values for the protocols of a search, by section; an empty section has none.

    :raises ValueError: if the file is not one mapping of mappings in YAML.
    """
    sections = read_overrides(path)
    for name, values in sections.items():
        if values is not None and not isinstance(values, Mapping):
            raise ValueError(f'the section `{name}` of `{path}` is {_kind(values)}: give it values, `{name}: {{…: …}}`')
    return {name: dict(values or {}) for name, values in sections.items()}


def _load(path: Path) -> list[Any]:
    try:
        return list(yaml.load_all(path.read_bytes(), Loader=OverridesLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f', line {mark.line + 1},' if mark else ''
        raise ValueError(f'`{path}`{line} is no YAML: {error.problem or error.context}; correct it there') from error
    except yaml.YAMLError as error:
        raise ValueError(f'`{path}` is no YAML: {" ".join(str(error).split())}; write it anew as UTF-8') from error


def _kind(value: Any) -> str:
    return f'a list of {len(value)}' if isinstance(value, list) else f'`{value}`'
