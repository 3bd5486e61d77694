"""What is missing or misconfigured, one line after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager

from aiida_prospect.campaign.codes import check_executable, check_potcars, check_pseudos, check_python, is_python
from aiida_prospect.campaign.findings import Finding, Level, has_errors
from aiida_prospect.campaign.machines import Unreachable, check_computer, connection
from aiida_prospect.campaign.services import check_broker, check_daemon, check_storage
from aiida_prospect.campaign.stranded import find_half_created, remedy_for_half_created

# Inputs of a search that are Python interpreters, whatever they are called.
INTERPRETERS = ('train__member__code', 'explore__code')


def examine(search_pk: int | None = None) -> Iterator[Finding]:
    """Yield all that can be found out, about a search or about all codes that are not hidden."""
    profile = get_manager().get_profile()
    if profile is None:
        yield Finding(Level.ERROR, 'profile', 'there is none', 'bash deploy/quickstart.sh, or verdi presto')
        return
    yield Finding(Level.OK, 'profile', profile.name)
    storage = check_storage(profile)
    yield storage
    yield check_broker(profile)
    if storage.level is not Level.OK:
        return
    yield from check_daemon(profile)
    yield from check_half_created(search_pk)
    search = None if search_pk is None else orm.load_node(search_pk)
    codes = all_codes() if search is None else codes_of(search)
    if not codes:
        remedy = 'verdi code create core.code.installed --label python --computer LABEL --filepath-executable PATH'
        yield Finding(Level.ERROR, 'codes', 'there are none', remedy)
    yield from check_machines(codes, needs_deepmd=_trains_deepmd(search))
    yield from check_pseudos(list(codes), search)
    yield from check_potcars(list(codes), search)


def check_half_created(search_pk: int | None) -> Iterator[Finding]:
    """Look for processes that an outage of the database has left without a state."""
    nodes = find_half_created(search_pk)
    if nodes:
        names = ', '.join(f'{node.process_label}<{node.pk}>' for node in nodes)
        message = f'{len(nodes)} never came into being, because the database was away, and do no harm: {names}'
        yield Finding(Level.WARNING, 'processes', message, remedy_for_half_created(nodes))


def all_codes() -> dict[orm.AbstractCode, bool]:
    """Return all codes that are not hidden, and whether they are Python interpreters."""
    # The abstract class alone stands for all data.
    query = orm.QueryBuilder().append(orm.AbstractCode, filters={'node_type': {'like': 'data.core.code.%'}})
    return {code: is_python(code) for code in query.all(flat=True) if not code.is_hidden}


def codes_of(search: orm.WorkChainNode) -> dict[orm.AbstractCode, bool]:
    """Return the codes that a search uses, and whether they are Python interpreters."""
    codes: dict[str, tuple[orm.AbstractCode, bool]] = {}
    for link in search.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all():
        if isinstance(link.node, orm.AbstractCode):
            _, known = codes.get(link.node.uuid, (None, False))
            codes[link.node.uuid] = (link.node, known or link.link_label in INTERPRETERS or is_python(link.node))
    return dict(codes.values())


def check_machines(codes: dict[orm.AbstractCode, bool], *, needs_deepmd: bool) -> Iterator[Finding]:
    """Look at the computers of codes, and where they can be used at the codes."""
    by_computer: dict[int, list[orm.AbstractCode]] = defaultdict(list)
    for code in codes:
        if code.computer is not None:
            by_computer[code.computer.pk].append(code)
    for group in by_computer.values():
        computer = group[0].computer
        findings = list(check_computer(computer))
        yield from findings
        if has_errors(findings):
            names = ', '.join(code.full_label for code in group)
            yield Finding(Level.WARNING, 'codes', f'not looked at: {names}', 'mend the computer first')
            continue
        try:
            with connection(computer) as transport:
                for code in group:
                    yield from check_code(code, transport, interpreter=codes[code], needs_deepmd=needs_deepmd)
        except Unreachable as exception:
            yield Finding(Level.ERROR, f'computer {computer.label}', f'broke off: {exception}', '')


def check_code(
    code: orm.AbstractCode, transport: object, *, interpreter: bool, needs_deepmd: bool
) -> Iterator[Finding]:
    """Look at one code by way of a connection that is open."""
    if not isinstance(code, orm.InstalledCode):
        yield Finding(Level.OK, f'code {code.full_label}', f'is a {type(code).__name__}: not looked at')
        return
    executable = check_executable(code, transport)
    yield executable
    if interpreter and executable.level is Level.OK:
        yield from check_python(code, transport, needs_deepmd=needs_deepmd)


def _trains_deepmd(search: orm.WorkChainNode | None) -> bool:
    return search is not None and search.inputs.train.member_workflow.value == 'prospect.train.deepmd'
