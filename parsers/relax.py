"""Results of :class:`~aiida_prospect.calculations.relax.RelaxCalculation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import Dict

from aiida_prospect.calculations.relax import sliced
from aiida_prospect.calculations.runners import relax as runner
from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.parsers.base import UNREADABLE, RunnerParser, filled

RESULTS = (
    'positions',
    'cells',
    'energy',
    'forces',
    'stress',
    'energy_spread',
    'forces_spread',
    'energy_initial',
    'status',
    'reason',
    'steps',
)


class RelaxParser(RunnerParser):
    """Attach what has been relaxed, also when the job was killed."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Make the outputs.

        What the scheduler found (walltime, memory) stays the exit code: a code returned here would hide it.
        """
        statistics = self.statistics()
        if 'error' in statistics:
            return self.exit_codes.ERROR_NOT_STARTED.format(cause=statistics['error'])
        folder = Path(kwargs['retrieved_temporary_folder'])
        found_by_scheduler = self.node.exit_status
        if not (folder / runner.RESULT).is_file():
            return None if found_by_scheduler else self.exit_codes.ERROR_NO_RESULT.format(cause=self.last_words())
        try:
            given = self.node.inputs.frames.frames.select(self._slice())
            relaxed = filled(given, Frames.load(folder / runner.RESULT), RESULTS)
            trajectories = self._trajectories(folder / runner.TRAJECTORIES)
        except UNREADABLE as exception:
            return self.exit_codes.ERROR_INVALID_RESULT.format(cause=exception)
        self.out('relaxed', DatasetData(relaxed))
        self.out('statistics', Dict(statistics))
        if trajectories is not None:
            self.out('trajectories', DatasetData(trajectories))
        ended = int(np.sum(relaxed.known('status') != RelaxStatus.UNFINISHED.value))
        if ended < len(relaxed) and not found_by_scheduler:
            cause = statistics.get('stopped') or self.last_words()
            return self.exit_codes.ERROR_UNFINISHED.format(ended=ended, frames=len(relaxed), cause=cause)
        return None

    def _slice(self) -> range:
        return sliced(len(self.node.inputs.frames), self.node.inputs.parameters.get_dict())

    def _trajectories(self, path: Path) -> Frames | None:
        if not path.is_file():
            return None
        frames = Frames.load(path)
        return frames.replace(source=np.array(self._slice())[frames.known('source')]) if len(frames) else frames
