"""Seconds of the processor and of the wall, to which those are added that a kept result took when it was made."""

from __future__ import annotations

import os
import time


class Clock:
    """Both clocks of this process."""

    def __init__(self) -> None:
        self._added = 0.0

    @property
    def processor(self) -> float:
        """Those of this process and of its children that have ended."""
        return sum(os.times()[:4]) + self._added

    @property
    def wall(self) -> float:
        """Those of a monotonic clock."""
        return time.monotonic() + self._added

    def put_forward(self, seconds: float) -> None:
        """Add what something took on one processor that is not done again."""
        self._added += seconds


CLOCK = Clock()
