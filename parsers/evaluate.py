"""Results of :class:`~aiida_prospect.calculations.evaluate.EvaluateCalculation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import Dict

from aiida_prospect.calculations.runners import evaluate as runner
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.parsers.base import UNREADABLE, RunnerParser, filled

RESULTS = ('energy', 'forces', 'stress', 'energy_spread', 'forces_spread', 'status', 'reason')


class EvaluateParser(RunnerParser):
    """Attach what has been evaluated, also when the job was killed."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Make the outputs.

        What the scheduler found (walltime, memory) stays the exit code: a code returned here would hide it.
        """
        statistics = self.statistics()
        if 'error' in statistics:
            return self.exit_codes.ERROR_POTENTIALS_NOT_LOADED.format(cause=statistics['error'])
        path = Path(kwargs['retrieved_temporary_folder']) / runner.RESULT
        if not path.is_file():
            found_by_scheduler = self.node.exit_status
            return None if found_by_scheduler else self.exit_codes.ERROR_NO_RESULT.format(cause=self.last_words())
        try:
            evaluated = filled(self.node.inputs.frames.frames, Frames.load(path), RESULTS)
        except UNREADABLE as exception:
            return self.exit_codes.ERROR_INVALID_RESULT.format(cause=exception)
        self.out('evaluated', DatasetData(evaluated))
        self.out('statistics', Dict(statistics))
        missing = int(np.sum(evaluated.known('reason') == runner.NOT_REACHED))
        if missing and not self.node.exit_status:
            return self.exit_codes.ERROR_INCOMPLETE.format(evaluated=len(evaluated) - missing, frames=len(evaluated))
        return None
