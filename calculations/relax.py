"""Relaxation of many frames in one job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict, ProcessNode, RemoteData

from aiida_prospect.calculations.base import RunnerCalculation, define_failures, file_of
from aiida_prospect.calculations.ensemble import may_fail_by_accident, write_ensemble
from aiida_prospect.calculations.runners import relax as runner
from aiida_prospect.calculations.runtime import EVALUATION
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.relaxation.driver import FAILED_EVALUATIONS
from aiida_prospect.methods.relaxation.settings import RelaxSettings

# Parameters that are no settings of the relaxation itself.
JOB_DEFAULTS = {'slice': None, 'checkpoint_seconds': 60.0, 'progress_seconds': 2.0}


def split_parameters(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the relaxation, and the rest with its defaults."""
    settings = {key: value for key, value in parameters.items() if key not in JOB_DEFAULTS}
    return settings, {key: parameters.get(key, default) for key, default in JOB_DEFAULTS.items()}


def sliced(size: int, parameters: Mapping[str, Any]) -> range:
    """Return the indices of the frames that a job is about.

    :param size: number of all frames.
    :raises ValueError: if none are left.
    """
    indices = range(size)[slice(*parameters['slice'])] if parameters.get('slice') else range(size)
    if not indices:
        raise ValueError(f'there are no frames in the slice {parameters.get("slice")} of {size}')
    return indices


def validate_parameters(parameters: Dict, _: Any) -> str | None:
    """Refuse unknown keys and impossible values."""
    try:
        RelaxSettings.from_dict(split_parameters(parameters.get_dict())[0])
    except (TypeError, ValueError) as exception:
        return str(exception)
    return None


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse frames with elements that a potential does not know, and slices without frames."""
    if any(key not in inputs for key in ('frames', 'parameters', 'potentials')):
        return None
    try:
        sliced(len(inputs['frames']), inputs['parameters'].get_dict())
    except (TypeError, ValueError) as exception:
        return str(exception)
    return check_elements(inputs['frames'], inputs['potentials'])


def check_elements(frames: DatasetData, potentials: Mapping[str, PotentialData]) -> str | None:
    """Return what is wrong with these potentials for these frames."""
    if not potentials:
        return 'give at least one potential'
    for key, potential in potentials.items():
        foreign = sorted(set(frames.elements) - set(potential.type_map))
        if foreign:
            known = ', '.join(potential.type_map)
            return f'potential `{key}` knows {known}, but there are frames with {", ".join(foreign)}'
    return None


class RelaxCalculation(RunnerCalculation):
    """Relax positions and cells on the mean of an ensemble; the code is a Python interpreter of the compute side.

    Of a relaxation that converged the last frame comes back, of any other the frame of lowest enthalpy. While the job
    runs, ``progress.json`` in its folder says where it stands.
    """

    RUNTIME = (
        'aiida_prospect.calculations.runners.relax',
        *EVALUATION,
        'aiida_prospect.methods.relaxation',
    )
    STEM = 'relax'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=DatasetData, help='What to relax.')
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True)
        spec.input(
            'parameters',
            valid_type=Dict,
            default=lambda: Dict({}),
            validator=validate_parameters,
            help='Fields of `RelaxSettings`; `slice`, [start, stop, step], to relax some of the frames only; '
            '`checkpoint_seconds` and `progress_seconds`.',
        )
        spec.input(
            'parent_folder',
            valid_type=RemoteData,
            required=False,
            help='Folder of a job with the same frames and parameters that wrote a checkpoint.',
        )
        spec.inputs.validator = validate_inputs
        spec.inputs['metadata']['options']['parser_name'].default = 'prospect.relax'
        spec.output(
            'relaxed',
            valid_type=DatasetData,
            required=False,
            help='The frames with energy, forces, stress, spreads, energy before, steps, status and reason.',
        )
        spec.output(
            'trajectories',
            valid_type=DatasetData,
            required=False,
            help='Frames on the way; `source` is the index among the input frames.',
        )
        spec.output('statistics', valid_type=Dict, required=False, help='Evaluations, batches and seconds.')
        spec.default_output_node = 'statistics'
        define_failures(
            spec,
            {
                301: ('ERROR_NO_RESULT', 'The job has left no results: {cause}'),
                302: ('ERROR_INVALID_RESULT', 'The results cannot be read: {cause}'),
                303: ('ERROR_NOT_STARTED', 'The relaxation could not begin: {cause}'),
                501: (
                    'ERROR_UNFINISHED',
                    '{ended} of {frames} relaxations have ended when the job stopped ({cause}); it can be continued.',
                ),
            },
        )

    @classmethod
    def is_valid_cache(cls, node: ProcessNode) -> bool:
        """Tell whether a job may be taken from the cache: what calculators failed at may go well another time."""
        if not super().is_valid_cache(node) or 'statistics' not in node.outputs:
            return False
        complete = not node.outputs.statistics.get(FAILED_EVALUATIONS, 0)
        return complete or not may_fail_by_accident(node.inputs.potentials)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the potentials and the part of this package that runs on the compute side."""
        settings, job = split_parameters(self.inputs.parameters.get_dict())
        frames = self.inputs.frames.frames
        chosen = frames.select(sliced(len(frames), job))
        chosen.without('status', 'reason').save(Path(folder.abspath) / runner.FRAMES)
        with folder.open(runner.PARAMETERS, 'w', encoding='utf8') as handle:
            json.dump({**job, 'settings': settings, 'max_seconds': self._max_seconds()}, handle, indent=2)
        models = write_ensemble(folder, self.inputs.potentials)
        info = self.calc_info(
            folder,
            retrieve=[runner.STATISTICS],
            retrieve_temporary=[runner.RESULT, runner.TRAJECTORIES],
            exclude=[runner.FRAMES, *models],
        )
        if 'parent_folder' in self.inputs:
            info.remote_copy_list = [(*file_of(self.inputs.parent_folder, runner.CHECKPOINT), runner.CHECKPOINT)]
        return info

    def _max_seconds(self) -> float | None:
        """Return when to stop by itself, early enough to write everything before the scheduler's limit."""
        limit = self.options.get('max_wallclock_seconds')
        return None if limit is None else limit - min(limit / 2, max(limit / 20, 10.0), 60.0)
