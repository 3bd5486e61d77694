"""What jobs that evaluate frames on the compute side leave behind."""

from __future__ import annotations

import json
from typing import Any

from aiida.parsers import Parser

from aiida_prospect.calculations.runners.evaluate import STATISTICS

LINES_SHOWN = 5


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
        name = self.node.process_class.error_filename()
        if name not in self.retrieved.base.repository.list_object_names():
            return 'not even an error stream'
        lines = self.retrieved.base.repository.get_object_content(name).strip().splitlines()
        return ' | '.join(lines[-LINES_SHOWN:]) or 'the error stream is empty'
