"""Energies, forces and stresses of many frames in one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.orm import Dict

from aiida_prospect.calculations.ensemble import write_ensemble
from aiida_prospect.calculations.runners import evaluate as runner
from aiida_prospect.calculations.runtime import copy_runtime
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData

RUNTIME = (
    'aiida_prospect.calculations.runners.evaluate',
    'aiida_prospect.common',
    'aiida_prospect.methods.evaluators',
    'aiida_prospect.methods.lammps_box',
    'aiida_prospect.methods.lammps_potentials',
    'aiida_prospect.methods.pod_model',
)


def validate_frames(frames: DatasetData, _: Any) -> str | None:
    """Refuse an empty set."""
    return None if len(frames) else 'there are no frames to evaluate'


def validate_potentials(potentials: dict[str, PotentialData], _: Any) -> str | None:
    """Refuse an empty ensemble."""
    return None if potentials else 'give at least one potential'


class EvaluateCalculation(CalcJob):
    """Evaluate frames with the mean of an ensemble; the code is a Python interpreter of the compute side."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=DatasetData, validator=validate_frames, help='What to evaluate.')
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True, validator=validate_potentials)
        spec.inputs['metadata']['options']['parser_name'].default = 'prospect.evaluate'
        spec.inputs['metadata']['options']['output_filename'].default = 'evaluate.out'
        spec.inputs['metadata']['options']['withmpi'].default = False
        spec.inputs['metadata']['options']['resources'].default = lambda: {
            'num_machines': 1,
            'num_mpiprocs_per_machine': 1,
        }
        spec.output(
            'evaluated',
            valid_type=DatasetData,
            help='The same frames with energy, forces, stress, with their spread if there are several potentials, and '
            'with a status, `ok` or `failed`, and a reason for each.',
        )
        spec.output('statistics', valid_type=Dict, help='Evaluations made, and seconds.')
        spec.default_output_node = 'statistics'
        spec.exit_code(301, 'ERROR_NO_RESULT', invalidates_cache=True, message='The job has left no results: {cause}')
        spec.exit_code(
            302, 'ERROR_INVALID_RESULT', invalidates_cache=True, message='The results cannot be read: {cause}'
        )
        spec.exit_code(
            303,
            'ERROR_POTENTIALS_NOT_LOADED',
            invalidates_cache=True,
            message='The potentials could not be loaded: {cause}',
        )
        spec.exit_code(
            501,
            'ERROR_INCOMPLETE',
            invalidates_cache=True,
            message='The job ended early: {evaluated} of {frames} frames are evaluated.',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the potentials and the part of this package that runs on the compute side."""
        self.inputs.frames.frames.without('status', 'reason').save(Path(folder.abspath) / runner.FRAMES)
        models = write_ensemble(folder, self.inputs.potentials)
        modules = copy_runtime(folder, *RUNTIME)
        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = ['-m', RUNTIME[0]]
        code_info.stdout_name = self.options.output_filename
        code_info.stderr_name = 'evaluate.err'
        calc_info = CalcInfo()
        calc_info.codes_info = [code_info]
        calc_info.retrieve_list = [self.options.output_filename, 'evaluate.err', runner.STATISTICS]
        calc_info.retrieve_temporary_list = [runner.RESULT]
        calc_info.provenance_exclude_list = [runner.FRAMES, *models, *modules]
        return calc_info
