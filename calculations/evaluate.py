"""Energies, forces and stresses of many frames in one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict, ProcessNode

from aiida_prospect.calculations.base import RunnerCalculation, define_failures
from aiida_prospect.calculations.ensemble import may_fail_by_accident, write_ensemble
from aiida_prospect.calculations.runners import evaluate as runner
from aiida_prospect.calculations.runtime import EVALUATION
from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData


def validate_frames(frames: DatasetData, _: Any) -> str | None:
    """Refuse an empty set."""
    return None if len(frames) else 'there are no frames to evaluate'


def validate_potentials(potentials: dict[str, PotentialData], _: Any) -> str | None:
    """Refuse an empty ensemble."""
    return None if potentials else 'give at least one potential'


class EvaluateCalculation(RunnerCalculation):
    """Evaluate frames with the mean of an ensemble; the code is a Python interpreter of the compute side."""

    RUNTIME: ClassVar[tuple[str, ...]] = (
        'aiida_prospect.calculations.runners.evaluate',
        *EVALUATION,
    )
    STEM = 'evaluate'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=DatasetData, validator=validate_frames, help='What to evaluate.')
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True, validator=validate_potentials)
        spec.inputs['metadata']['options']['parser_name'].default = 'prospect.evaluate'
        spec.output(
            'evaluated',
            valid_type=DatasetData,
            help='The same frames with energy, forces, stress, with their spread if there are several potentials, and '
            'with a status, `ok`, `unconverged` or `failed`, and a reason for each.',
        )
        spec.output('statistics', valid_type=Dict, help='Evaluations made, and seconds.')
        spec.default_output_node = 'statistics'
        define_failures(
            spec,
            {
                301: ('ERROR_NO_RESULT', 'The job has left no results: {cause}'),
                302: ('ERROR_INVALID_RESULT', 'The results cannot be read: {cause}'),
                303: ('ERROR_POTENTIALS_NOT_LOADED', 'The potentials could not be loaded: {cause}'),
                501: ('ERROR_INCOMPLETE', 'The job ended early: {evaluated} of {frames} frames are evaluated.'),
            },
        )

    @classmethod
    def is_valid_cache(cls, node: ProcessNode) -> bool:
        """Tell whether a job may be taken from the cache: what calculators failed at may go well another time."""
        if not super().is_valid_cache(node) or 'evaluated' not in node.outputs:
            return False
        complete = np.all(node.outputs.evaluated.get_array('status') == LabelStatus.OK.value)
        return bool(complete) or not may_fail_by_accident(node.inputs.potentials)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the potentials and the part of this package that runs on the compute side."""
        self.inputs.frames.frames.without('status', 'reason').save(Path(folder.abspath) / runner.FRAMES)
        models = write_ensemble(folder, self.inputs.potentials)
        return self.calc_info(
            folder,
            retrieve=[runner.STATISTICS],
            retrieve_temporary=[runner.RESULT],
            exclude=[runner.FRAMES, *models],
        )
