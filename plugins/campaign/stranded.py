"""Processes that the daemon has lost: no worker has them, and none will be given them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError

from aiida import orm
from aiida.engine.processes.control import get_process_tasks
from aiida.manage import get_manager
from kiwipy import DeliveryFailed
from plumpy.futures import unwrap_kiwi_future

# The extra of a search that runs in the process of a user, to whom no message can be sent.
FOREGROUND = 'prospect_foreground'
# The answer of the broker that comes with AiiDA; the exception is of no type of its own.
NOT_FOUND = 'Recipient not found'
SECONDS_TO_ANSWER = 5.0
SECONDS_BETWEEN = 5.0


def find_stranded(pks: Iterable[int]) -> set[int]:
    """Return those processes that nobody answers for, and that wait in no queue.

    They are asked twice, because between taking a process from the queue and answering for it a worker is silent.

    :param pks: of processes that are not terminated.
    """
    silent = _find_silent(pks)
    if silent:
        time.sleep(SECONDS_BETWEEN)
    return {pk for pk in _find_silent(silent) if not orm.load_node(pk).is_terminated}


def _find_silent(pks: Iterable[int]) -> set[int]:
    silent = {pk for pk in pks if not is_held(pk)}
    return silent - set(get_process_tasks(get_manager().get_broker())) if silent else silent


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
