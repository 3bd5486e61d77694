"""What jobs that evaluate frames on the compute side leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from zipfile import BadZipFile

import numpy as np
from aiida.parsers import Parser

from aiida_prospect.calculations.runners.evaluate import STATISTICS
from aiida_prospect.calculations.streams import read_stream
from aiida_prospect.common.frames import Frames

LINES_SHOWN = 5
# What reading frames raises from a file that is empty, cut short or something else.
UNREADABLE = (BadZipFile, EOFError, OSError, ValueError)


class RunnerParser(Parser):
    """Reads the statistics and the error stream of a job."""

    def statistics(self) -> dict[str, Any]:
        """Return what the job told of itself; empty if it was killed before it could."""
        if STATISTICS not in self.retrieved.base.repository.list_object_names():
            return {}
        try:
            return dict(json.loads(self.retrieved.base.repository.get_object_content(STATISTICS)))
        except ValueError:
            # Killed while it was being written.
            return {}

    def last_words(self) -> str:
        """Return the end of what the job wrote to its error stream."""
        said = read_stream(self.retrieved, self.node.process_class.error_filename())
        if said is None:
            return 'not even an error stream'
        lines = said.strip().splitlines()
        return ' | '.join(lines[-LINES_SHOWN:]) or 'the error stream is empty'


def filled(frames: Frames, result: Frames, names: Iterable[str]) -> Frames:
    """Return the frames that a job was given with what it found; of its file only the results count.

    :param names: fields that are results.
    :raises ValueError: if the file is about other frames.
    """
    if not (np.array_equal(frames.numbers, result.numbers) and np.array_equal(frames.offsets, result.offsets)):
        raise ValueError('it holds other frames than were asked for')
    return frames.replace(**{name: getattr(result, name) for name in names})
