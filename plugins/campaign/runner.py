"""An event loop for commands that talk to computers."""

from __future__ import annotations

from aiida.engine.runners import Runner
from aiida.manage import get_manager


def use_runner_without_broker() -> None:
    """Let asynchronous transports work also where the broker is down, which AiiDA's own runner needs."""
    get_manager().set_runner(Runner(poll_interval=1, communicator=None))
