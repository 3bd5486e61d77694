"""Labels with one process for each frame, not more than so many at a time."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessState, ToContext
from aiida.engine.processes.workchains.awaitable import Awaitable

from aiida_prospect.workflows.label.base import LabelWorkChain

# Folders are removed by so many at a time: each time takes a connection of its own.
CLEANED_TOGETHER = 20


class WindowLabelWorkChain(LabelWorkChain):
    """Keep ``max_concurrent`` processes going: as soon as one ends, the next is submitted.

    A work chain of AiiDA waits until all that it has in hand has ended. This one goes on when the first has ended, and
    takes those that still run in hand again. An implementation defines :meth:`submit_frame` and :meth:`inspect_frame`.
    """

    def screen_candidates(self) -> None:
        """Sort out what the method is not asked for, and line up the rest."""
        super().screen_candidates()
        accepted = self.ctx.accepted
        self.ctx.waiting = [] if accepted is None else [key_of(i) for i in accepted.frames.known('source').tolist()]
        self.ctx.in_flight = {}
        self.ctx.to_clean = []

    def submit_frame(self, key: str) -> orm.ProcessNode:
        """Submit the process of a frame.

        :param key: entry of ``ctx.waiting``.
        """
        raise NotImplementedError

    def inspect_frame(self, key: str, process: orm.ProcessNode) -> None:
        """Take note of how a process ended; may append another key to ``ctx.waiting``."""
        raise NotImplementedError

    def should_label(self) -> bool:
        """Tell whether there are frames that wait, or processes that run."""
        return bool(self.ctx.waiting or self.ctx.in_flight)

    def label_candidates(self) -> Any:
        """Look at what has ended, and fill the window up."""
        in_flight = dict(self.ctx.in_flight)
        for key, pk in sorted(in_flight.items()):
            process = orm.load_node(pk)
            if process.is_terminated:
                del in_flight[key]
                self.inspect_frame(key, process)
                self.ctx.to_clean.append(pk)
        self._clean_together()
        while self.ctx.waiting and len(in_flight) < self.inputs.max_concurrent.value:
            key = self.ctx.waiting.pop(0)
            in_flight[key] = self.submit_frame(key).pk
        self.ctx.in_flight = in_flight
        return ToContext(**{f'children.{key}': orm.load_node(pk) for key, pk in in_flight.items()})

    def _clean_together(self) -> None:
        if len(self.ctx.to_clean) >= CLEANED_TOGETHER:
            self.clean_folders_of(orm.load_node(pk) for pk in self.ctx.to_clean)
            self.ctx.to_clean = []

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        """Go on as soon as one process has ended; called by AiiDA, once for every time that it was taken in hand."""
        current = next((item for item in self._awaitables if item.pk == awaitable.pk), None)
        if current is None:
            return
        super()._on_awaitable_finished(current)
        if self.state == ProcessState.WAITING:
            self.resume()


def key_of(index: int) -> str:
    """Return the name of a frame, by its index among the candidates."""
    return f'frame_{index:04d}'


def index_of(key: str) -> int:
    """Return the index of a frame among the candidates."""
    return int(key.split('_')[1])
