"""Work chains that outlive outages of the message broker, and that their worker is killed while they submit."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.manage import get_manager
from aiida.manage.configuration import get_config
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
    After an outage RabbitMQ gives a work chain to a second worker while the first still has it, and both run the same
    step: of these the second takes over the child of the first.
    """

    def submit(self, process: Any, inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child as soon as the broker answers, unless that has been done already."""
        # Only the daemon hands its processes around by way of the broker, and goes on with them from checkpoints.
        if not self.runner.is_daemon_runner:
            return super().submit(process, inputs, **kwargs)
        values = {**(inputs or {}), **kwargs}
        label = values.get('metadata', {}).get('call_link_label')
        if self._find_child(process, label) is None:
            self._wait_for_broker()
        with alone(self.node.pk):
            if (child := self._find_child(process, label)) is None:
                child = self._submit(process, inputs, **kwargs)
            else:
                self.report(f'{child.process_label}<{child.pk}> had been submitted before this step was broken off')
        self.ctx.submitted = [*self.ctx.get('submitted', []), child.pk]
        return child

    def _find_child(self, process: Any, label: str | None) -> orm.ProcessNode | None:
        """Return a child that was submitted in this step before it was broken off; the context knows of all others."""
        known, wanted = self.ctx.get('submitted', []), process.build_process_type()
        links = self.node.base.links.get_outgoing(orm.ProcessNode).all()
        for link in sorted(links, key=lambda link: link.node.pk):
            node = link.node
            has_begun = node.process_state is not None
            if node.pk not in known and link.link_label == label and node.process_type == wanted and has_begun:
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


@contextmanager
def alone(pk: int) -> Iterator[None]:
    """Wait until no other worker of the daemon, which all run on one machine, is in here for the same process.

    Each process has a byte of one file, which need not be that long; a worker that dies lets go of all of its own.
    """
    pid_file = Path(get_config().filepaths(get_manager().get_profile())['daemon']['pid'])
    descriptor = os.open(pid_file.with_name(f'prospect-{pid_file.stem}.lock'), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, pk)
        yield
    finally:
        os.close(descriptor)


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
