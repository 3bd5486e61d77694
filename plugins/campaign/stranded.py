"""Processes that the daemon has lost: no worker has them, and none will be given them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta

from aiida import orm
from aiida.common import timezone
from aiida.engine.processes.control import get_process_tasks
from aiida.manage import get_manager
from kiwipy import DeliveryFailed
from plumpy.futures import unwrap_kiwi_future

# The extra of a search that runs in the process of a user, to whom no message can be sent.
FOREGROUND = 'prospect_foreground'
# The answer of the broker that comes with AiiDA; the exception is of no type of its own.
NOT_FOUND = 'Recipient not found'
SECONDS_TO_ANSWER = 5.0
# Where it is kept since when a process has been silent.
SILENT = 'prospect_silent'
OURS = ('aiida.workflows:prospect.', 'aiida.calculations:prospect.')
# A worker that is busy does not answer for what it has just been given: longer than its longest step takes.
PATIENCE = timedelta(minutes=10)


def root_of(node: orm.ProcessNode) -> orm.ProcessNode:
    """Return the process that was started by a person."""
    while node.caller is not None:
        node = node.caller
    return node


def is_in_foreground(node: orm.ProcessNode) -> bool:
    """Tell whether a process belongs to a search that a person runs without the daemon."""
    return bool(root_of(node).base.extras.get(FOREGROUND, False))


def find_half_created(search_pk: int | None = None, age: timedelta = PATIENCE) -> list[orm.ProcessNode]:
    """Return processes that were stored, but never came into being because the database went away meanwhile.

    They have no state, nobody will run them, and what they were to do has been submitted again.

    :param search_pk: look only below this process; by default below all of this package.
    :param age: a younger one may come into being yet.
    """
    filters = {'attributes': {'!has_key': 'process_state'}, 'ctime': {'<': timezone.now() - age}}
    nodes = orm.QueryBuilder().append((orm.WorkChainNode, orm.CalcJobNode), filters=filters).all(flat=True)
    roots = {node: root_of(node) for node in nodes}
    if search_pk is not None:
        return [node for node, root in roots.items() if root.pk == search_pk]
    return [node for node, root in roots.items() if str(root.process_type).startswith(OURS)]


def remedy_for_half_created(nodes: Iterable[orm.ProcessNode]) -> str:
    """Return the command that removes them."""
    return f'verdi node delete --force {" ".join(str(node.pk) for node in nodes)}'


def find_stranded(pks: Iterable[int]) -> set[int]:
    """Return those processes that nobody answers for, and that wait in no queue.

    That may pass: between taking a process from the queue and answering for it a worker is silent, for as long as it
    is busy with another one. See :func:`silent_for`.

    :param pks: of processes.
    """
    silent = {pk for pk in pks if not is_held(pk)}
    if silent:
        silent -= set(get_process_tasks(get_manager().get_broker()))
    return {pk for pk in silent if not orm.load_node(pk).is_terminated}


def silent_for(process: orm.ProcessNode, memory: timedelta) -> timedelta:
    """Take note that a process is silent, on its node, and return for how long it has been.

    :param memory: what was noted longer ago than this is about another time.
    """
    now = timezone.now()
    noted = process.base.extras.get(SILENT, None)
    since = now
    if noted and now - datetime.fromisoformat(noted['seen']) < memory:
        since = datetime.fromisoformat(noted['since'])
    process.base.extras.set(SILENT, {'since': since.isoformat(), 'seen': now.isoformat()})
    return now - since


def forget_silence(pks: Collection[int] | None = None) -> None:
    """Take back what was noted of processes that answer, by default of all, because there was no worker to answer."""
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'extras': {'has_key': SILENT}})
    for process in query.all(flat=True):
        if pks is None or process.pk in pks:
            process.base.extras.delete(SILENT)


def is_held(pk: int) -> bool:
    """Tell whether a worker has a process; one that is too busy to answer has it."""
    try:
        answer = unwrap_kiwi_future(get_manager().get_process_controller().get_status(pk))
        refusal = answer.exception(timeout=SECONDS_TO_ANSWER)
    except DeliveryFailed:
        return False
    except FutureTimeoutError:
        return True
    return NOT_FOUND not in str(refusal)


def announce(pk: int) -> None:
    """Let a worker of the daemon go on with a process from its last checkpoint."""
    get_manager().get_process_controller().continue_process(pk, nowait=False, no_reply=True)
