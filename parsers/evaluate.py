"""Results of :class:`~aiida_prospect.calculations.evaluate.EvaluateCalculation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import Dict

from aiida_prospect.calculations.runners import evaluate as runner
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.parsers.base import RunnerParser


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
            evaluated = self._merge(Frames.load(path))
        except (BadZipFile, OSError, ValueError) as exception:
            return self.exit_codes.ERROR_INVALID_RESULT.format(cause=exception)
        self.out('evaluated', DatasetData(evaluated))
        self.out('statistics', Dict(statistics))
        missing = int(np.sum(evaluated.known('reason') == runner.NOT_REACHED))
        if missing and not self.node.exit_status:
            return self.exit_codes.ERROR_INCOMPLETE.format(evaluated=len(evaluated) - missing, frames=len(evaluated))
        return None

    def _merge(self, result: Frames) -> Frames:
        """Return the input frames with what was found; of the file only the results count.

        :raises ValueError: if the file is about other frames.
        """
        frames: Frames = self.node.inputs.frames.frames
        if not (np.array_equal(frames.numbers, result.numbers) and np.array_equal(frames.offsets, result.offsets)):
            raise ValueError('it holds other frames than were asked for')
        names = ('energy', 'forces', 'stress', 'energy_spread', 'forces_spread', 'status', 'reason')
        return frames.replace(**{name: getattr(result, name) for name in names})
