"""Named sets of input values: YAML files that hold the defaults once and, for each protocol, only what differs."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib.resources import files
from typing import Any

import yaml


class ProtocolError(ValueError):
    """An unknown protocol or an override of something that the protocol does not have."""


def load_protocol(name: str, protocol: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values of a protocol.

    A file has the keys ``default_inputs``, ``default_protocol`` and ``protocols``; each of the latter has a
    ``description`` and otherwise only differences. Keys listed under ``free`` may be overridden by mappings of any
    content, and nothing (``null``) may stand for those listed under ``nullable`` and for what is nothing by default.

    :param name: of the file in this folder, without its ending.
    :param protocol: ``None`` for the default one.
    :param overrides: merged over the protocol, nested mappings key by key.
    :raises ProtocolError: if the protocol is unknown, or an override is misspelt or of another kind.
    """
    content = yaml.safe_load(files(__name__).joinpath(f'{name}.yaml').read_text())
    chosen = protocol or content['default_protocol']
    if chosen not in content['protocols']:
        raise ProtocolError(f'`{chosen}` is no protocol of `{name}`; choose one of: {", ".join(content["protocols"])}')
    difference = {key: value for key, value in content['protocols'][chosen].items() if key != 'description'}
    free, nullable = (tuple(content.get(key, ())) for key in ('free', 'nullable'))
    where = f'protocol `{chosen}` of `{name}`'
    values = merge(content['default_inputs'], difference, where=where, free=free, nullable=nullable)
    return merge(values, overrides or {}, where=f'overrides of `{name}`', free=free, nullable=nullable)


def protocol_descriptions(name: str) -> dict[str, str]:
    """Return the one-sentence description of each protocol of a file."""
    content = yaml.safe_load(files(__name__).joinpath(f'{name}.yaml').read_text())
    return {key: value['description'] for key, value in content['protocols'].items()}


def merge(
    base: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    where: str = '',
    free: tuple[str, ...] | None = None,
    nullable: tuple[str, ...] = (),
    path: str = '',
) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, nested mappings key by key.

    A mapping of another ``type``, as another descriptor, takes the place of that of the base as a whole.

    :param where: what the changes are, for the message of the error.
    :param free: paths (``a.b``) of mappings that may gain new keys and any values; ``None`` if all may.
    :param nullable: paths of what nothing may stand for although the base has a value.
    :raises ProtocolError: if ``changes`` has a key that ``base`` lacks, or a value of another kind.
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        here = f'{path}{key}'
        is_free = free is None or any(path.startswith(f'{item}.') for item in free)
        if key not in base and not is_free:
            raise ProtocolError(f'{where}: `{here}` is unknown; known here: {", ".join(sorted(map(str, base)))}')
        if free is not None and not (value is None and (is_free or here in nullable)):
            _check_kind(base.get(key), value, f'{where}: `{here}`')
        if _belong_together(base.get(key), value):
            result[key] = merge(base[key], value, where=where, free=free, nullable=nullable, path=f'{here}.')
        else:
            result[key] = deepcopy(value)
    return result


def _belong_together(base: Any, changes: Any) -> bool:
    """Tell whether changes are some keys of a mapping, and not another kind of mapping."""
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping):
        return False
    return bool(changes.get('type', base.get('type')) == base.get('type'))


def _check_kind(default: Any, value: Any, what: str) -> None:
    """Refuse words for a number, a value for a section, and nothing for something.

    :raises ProtocolError: with what was expected.
    """
    if default is None:
        return
    for kind, words in (((int, float), 'a number'), (Mapping, 'a section'), (list, 'a list')):
        if isinstance(default, kind) and not isinstance(value, kind):
            raise ProtocolError(f'{what} is {_shown(value)}, expected {words}')
    if value is None:
        raise ProtocolError(f'{what} is null, which means nothing here; the protocol has {default!r}')


def _shown(value: Any) -> str:
    return 'null' if value is None else repr(value)
