"""Work chains that wait for the message broker before they submit."""

from __future__ import annotations

import asyncio
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.manage import get_manager
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from kiwipy import CommunicatorClosed, DeliveryFailed
from plumpy.greenback_bridge import has_portal, sync_await

# What is raised when RabbitMQ cannot be reached.
UNDELIVERED = (
    AMQPError,
    ChannelInvalidStateError,
    CommunicatorClosed,
    ConnectionError,
    DeliveryFailed,
    FutureTimeoutError,
)
SUBJECT = 'prospect.is_there_anybody'
FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0


class PatientProcess(Process):
    """A process that outlives an outage of RabbitMQ when it has something to submit.

    AiiDA itself lets a work chain except whose child cannot be announced. While this one waits, the event loop goes on.
    """

    def submit(self, process: Any, inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child as soon as the broker answers."""
        # Only the daemon hands its processes around by way of the broker.
        if self.runner.is_daemon_runner:
            self._wait_for_broker()
        before = {child.pk for child in self.node.called}
        try:
            return super().submit(process, inputs, **kwargs)
        except UNDELIVERED as exception:
            # The broker went away just now; what was stored can still be announced.
            stored = [child for child in self.node.called if child.pk not in before and child.checkpoint]
            if len(stored) != 1:
                raise
            child = stored[0]
            self.report(
                f'{child.process_label}<{child.pk}> could not be announced ({type(exception).__name__}): '
                '`aiida-prospect watch` does that, or `verdi process repair` while the daemon is stopped'
            )
            return child

    def _wait_for_broker(self) -> None:
        wait = FIRST_WAIT
        while not broker_answers():
            if wait == FIRST_WAIT:
                self.report('the message broker does not answer; what is to be submitted waits for it')
            # Where nothing can be awaited the submission says itself what is wrong.
            if not has_portal():
                break
            sync_await(asyncio.sleep(wait))
            wait = min(2 * wait, LONGEST_WAIT)


def broker_answers() -> bool:
    """Tell whether a message can be sent; also true where there is no broker that could be asked."""
    broker = get_manager().get_broker()
    if broker is None:
        return True
    try:
        broker.get_communicator().broadcast_send(None, subject=SUBJECT)
    except UNDELIVERED:
        return False
    return True
