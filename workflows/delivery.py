"""Work chains that outlive outages of the message broker, and that their worker is killed while they submit."""

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
    """A work chain that submits each child once, whatever happens meanwhile.

    AiiDA itself lets a work chain except whose child cannot be announced; while this one waits for RabbitMQ, the event
    loop goes on. And a step in which the worker is killed is run again: children that it had submitted are taken over.
    """

    def submit(self, process: Any, inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child as soon as the broker answers, unless that has been done already."""
        # Only the daemon hands its processes around by way of the broker, and goes on with them from checkpoints.
        if not self.runner.is_daemon_runner:
            return super().submit(process, inputs, **kwargs)
        values = {**(inputs or {}), **kwargs}
        child = self._find_child(process, values.get('metadata', {}).get('call_link_label'))
        if child is None:
            self._wait_for_broker()
            child = self._submit(process, inputs, **kwargs)
        self.ctx.submitted = [*self.ctx.get('submitted', []), child.pk]
        return child

    def _find_child(self, process: Any, label: str | None) -> orm.ProcessNode | None:
        """Return a child that was submitted in this step before it was broken off; the context knows of all others."""
        known, wanted = self.ctx.get('submitted', []), process.build_process_type()
        for link in self.node.base.links.get_outgoing(orm.ProcessNode).all():
            node = link.node
            has_begun = node.process_state is not None
            if node.pk not in known and link.link_label == label and node.process_type == wanted and has_begun:
                self.report(f'{node.process_label}<{node.pk}> had been submitted before this step was broken off')
                return node
        return None

    def _submit(self, process: Any, inputs: dict[str, Any] | None, **kwargs: Any) -> orm.ProcessNode:
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
