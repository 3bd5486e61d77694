"""Calculations in the database whose results can be labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.plugins.entry_point import get_entry_point_names

from aiida_prospect.calculations.functions.collect_earlier import collect_earlier
from aiida_prospect.data.dataset import DatasetData

# Instead of the label of a group: all that is in the database.
EVERYWHERE = 'query'
CODES = {'quantumespresso.pw': 'aiida_prospect.workflows.earlier.quantumespresso'}


@dataclass(frozen=True)
class EarlierCode:
    """What must be known of a code to take its calculations as labels.

    :param outputs: of a calculation: nodes by name that ``collect_earlier`` reads, ``None`` if it has no forces.
    :param settings: with which a calculation was made, see :mod:`aiida_prospect.methods.label_settings`.
    """

    outputs: Callable[[orm.CalcJobNode], Mapping[str, orm.Data] | None]
    settings: Callable[[orm.CalcJobNode], dict[str, Any]]


def installed_codes() -> dict[str, EarlierCode]:
    """Return the codes whose plugins are installed, by the entry point of the calculation."""
    names = set(get_entry_point_names('aiida.calculations'))
    return {name: import_module(path).CODE for name, path in CODES.items() if name in names}


def find_earlier(where: str, elements: Sequence[str]) -> list[orm.CalcJobNode]:
    """Return the calculations that ended well, of exactly these elements, and have forces; copies in the cache once.

    :param where: label of a group that holds them or work chains that called them, or :data:`EVERYWHERE`.
    :raises ValueError: if there is no such group, or nothing of use in it.
    """
    codes = installed_codes()
    types = [f'aiida.calculations:{name}' for name in codes]
    query = orm.QueryBuilder().append(
        orm.CalcJobNode,
        filters={'process_type': {'in': types}, 'attributes.exit_status': 0, **_members(where)},
        tag='job',
    )
    query.order_by({'job': {'id': 'asc'}})
    found: dict[str, orm.CalcJobNode] = {}
    for job in query.all(flat=True):
        outputs = codes[job.process_type.partition(':')[2]].outputs(job)
        if outputs and set(outputs['structure'].get_symbols_set()) == set(elements):
            found.setdefault(job.base.caching.get_cache_source() or job.uuid, job)
    if not found:
        place = 'in the database' if where == EVERYWHERE else f'in the group `{where}`'
        raise ValueError(
            f'no finished calculation with forces of {"-".join(sorted(elements))} {place}; '
            f'looked for: {", ".join(codes) or "nothing, no plugin is installed"}'
        )
    return list(found.values())


def _members(where: str) -> dict[str, Any]:
    """Return the filter for what is in a group, or was called by what is in it."""
    if where == EVERYWHERE:
        return {}
    try:
        group = orm.load_group(where)
    except NotExistent as exception:
        raise ValueError(f'there is no group `{where}`; all calculations: `{EVERYWHERE}`') from exception
    pks: set[int] = set()
    for node in group.nodes:
        if isinstance(node, orm.ProcessNode):
            pks |= {node.pk, *(child.pk for child in getattr(node, 'called_descendants', []))}
    return {'id': {'in': sorted(pks) or [-1]}}


def settings_of(jobs: Sequence[orm.CalcJobNode]) -> dict[str, dict[str, Any]]:
    """Return the settings of calculations, by their name and PK."""
    codes = installed_codes()
    return {f'{job.process_label}<{job.pk}>': codes[job.process_type.partition(':')[2]].settings(job) for job in jobs}


def collect(jobs: Sequence[orm.CalcJobNode]) -> DatasetData:
    """Return the labels that calculations give, made of their outputs by a calculation function."""
    codes = installed_codes()
    kinds = {f'frame_{number:04d}': job.process_type.partition(':')[2] for number, job in enumerate(jobs)}
    nodes = {
        f'{key}_{name}': node
        for (key, kind), job in zip(kinds.items(), jobs, strict=True)
        for name, node in (codes[kind].outputs(job) or {}).items()
    }
    names = {key: f'{job.process_label}-{job.pk}' for key, job in zip(kinds, jobs, strict=True)}
    return collect_earlier(orm.Dict({'kinds': kinds, 'origins': names}), **nodes)['labels']
