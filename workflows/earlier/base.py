"""Calculations in the database whose results can be labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.plugins.entry_point import get_entry_point_names

from aiida_prospect.calculations.functions.collect_earlier import collect_earlier
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.label_settings import spacing_interval

# Instead of the label of a group: all that is in the database.
EVERYWHERE = 'query'
CODES = {
    'quantumespresso.pw': 'aiida_prospect.workflows.earlier.quantumespresso',
    'vasp.vasp': 'aiida_prospect.workflows.earlier.vasp',
}


@dataclass(frozen=True)
class EarlierCode:
    """What must be known of a code to take its calculations as labels.

    :param outputs: of a calculation: nodes by name that ``collect_earlier`` reads; raises :class:`NoLabel` if it gives
        no label.
    :param settings: with which a calculation was made, see :mod:`aiida_prospect.methods.label_settings`.
    """

    outputs: Callable[[orm.CalcJobNode], Mapping[str, orm.Data]]
    settings: Callable[[orm.CalcJobNode], dict[str, Any]]


class NoLabel(ValueError):
    """A calculation ended well, but gives no label; the message says why."""


@dataclass(frozen=True)
class Found:
    """Calculations that give labels.

    :param left_out: how many others of the same elements do not, by the reason.
    """

    jobs: list[orm.CalcJobNode]
    left_out: Counter[str]


def installed_codes() -> dict[str, EarlierCode]:
    """Return the codes whose plugins are installed, by the entry point of the calculation."""
    names = set(get_entry_point_names('aiida.calculations'))
    return {name: import_module(path).CODE for name, path in CODES.items() if name in names}


def find_earlier(where: str, elements: Sequence[str]) -> Found:
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
        project='*',
    )
    # Crystals in another format than that of AiiDA do not tell their elements without being converted.
    query.append(orm.StructureData, with_outgoing='job', edge_filters={'label': 'structure'}, project='*')
    query.order_by({'job': {'id': 'asc'}})
    jobs: dict[str, orm.CalcJobNode] = {}
    left_out: Counter[str] = Counter()
    for job, structure in query.all():
        if set(structure.get_symbols_set()) != set(elements):
            continue
        try:
            code_of(job, codes).outputs(job)
        except NoLabel as exception:
            left_out[str(exception)] += 1
        else:
            jobs.setdefault(job.base.caching.get_cache_source() or job.uuid, job)
    if not jobs:
        place = 'in the database' if where == EVERYWHERE else f'in the group `{where}`'
        others = ''.join(f'; {count} left out: {reason}' for reason, count in left_out.items())
        raise ValueError(
            f'no finished calculation with forces of {"-".join(sorted(elements))} {place}; '
            f'looked for: {", ".join(codes) or "nothing, no plugin is installed"}{others}'
        )
    return Found(list(jobs.values()), left_out)


def code_of(job: orm.CalcJobNode, codes: Mapping[str, EarlierCode]) -> EarlierCode:
    """Return what is known of the code of a calculation."""
    return codes[kind_of(job)]


def kind_of(job: orm.CalcJobNode) -> str:
    """Return the entry point of a calculation."""
    return str(job.process_type).partition(':')[2]


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
    return {f'{job.process_label}<{job.pk}>': code_of(job, codes).settings(job) for job in jobs}


def collect(jobs: Sequence[orm.CalcJobNode]) -> DatasetData:
    """Return the labels that calculations give, made of their outputs by a calculation function."""
    codes = installed_codes()
    keys = [f'frame_{number:04d}' for number in range(len(jobs))]
    nodes = {
        f'{key}_{name}': node
        for key, job in zip(keys, jobs, strict=True)
        for name, node in code_of(job, codes).outputs(job).items()
    }
    kinds = {key: kind_of(job) for key, job in zip(keys, jobs, strict=True)}
    names = {key: f'{job.process_label}-{job.pk}' for key, job in zip(keys, jobs, strict=True)}
    return collect_earlier(orm.Dict({'kinds': kinds, 'origins': names}), **nodes)['labels']


def distance_of(job: orm.CalcJobNode, port: str, factor: float = 1.0) -> list[float] | None:
    """Return between which distances the k-points of a calculation lie, 1/Å with 2π; ``None`` if they are no mesh.

    :param port: input of the work chain that called it, with a distance.
    :param factor: by which that is multiplied.
    """
    caller = job.caller
    if caller is not None and port in caller.inputs:
        return [factor * caller.inputs[port].value] * 2
    try:
        mesh, _ = job.inputs.kpoints.get_kpoints_mesh()
    except (AttributeError, NotExistent):
        return None
    return list(spacing_interval(job.inputs.structure.get_ase().cell.array, mesh))
