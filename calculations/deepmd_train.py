"""Training of one force field with DeePMD-kit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import ArrayData, Dict, RemoteData

from aiida_prospect.calculations.runners import stages
from aiida_prospect.calculations.runners import train as runner
from aiida_prospect.calculations.training import TRAINING_FILES, TrainCalculation, choose_type_map, write_json
from aiida_prospect.methods.deepmd_input import CURVE_FILE, build_input


def validate_parameters(parameters: Dict, _: Any) -> str | None:
    """Refuse parameters of which no input can be made."""
    try:
        build_input(parameters.get_dict(), ['Si'], seed=0, validation=True, warm=False)
        build_input(parameters.get_dict(), ['Si'], seed=0, validation=True, warm=True)
    except (ValueError, TypeError, KeyError) as exception:
        return f'{type(exception).__name__}: {exception}'
    return None


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse elements that the type map or the potential to start from does not know."""
    if not {'training', 'parameters'} <= set(inputs):
        return None
    try:
        type_map = choose_type_map(inputs)
    except ValueError as exception:
        return str(exception)
    initial = inputs.get('initial')
    if initial is not None and initial.program not in runner.SUFFIX:
        return f'a training of DeePMD-kit cannot start from a potential of the backend `{initial.program}`'
    if initial is not None and initial.type_map != type_map:
        return f'the potential to start from has the types {initial.type_map}, the training {type_map}'
    return None


class DeepmdTrainCalculation(TrainCalculation):
    """Train, freeze, compress and test one force field; the code is a Python interpreter of the compute side.

    Which backend of DeePMD-kit runs belongs to the code: its environment variable ``DP_BACKEND`` (``tensorflow`` or
    ``pytorch``), by default what is installed there, TensorFlow first.
    """

    RUNTIME = (
        'aiida_prospect.calculations.runners.train',
        'aiida_prospect.calculations.runners.stages',
        'aiida_prospect.common',
        'aiida_prospect.methods.deepmd_input',
        'aiida_prospect.methods.deepmd_systems',
        'aiida_prospect.methods.evaluators.base',
        'aiida_prospect.methods.evaluators.batches',
        'aiida_prospect.methods.evaluators.crowd',
        'aiida_prospect.methods.evaluators.deepmd',
        'aiida_prospect.methods.evaluators.deepmd_engines',
        'aiida_prospect.methods.evaluators.neighbours',
        'aiida_prospect.methods.learning_curve',
        'aiida_prospect.methods.model_errors',
        'aiida_prospect.methods.zbl',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs['parameters'].validator = validate_parameters
        spec.input('parent_folder', valid_type=RemoteData, required=False, help='Continue from its last checkpoint.')
        spec.inputs.validator = validate_inputs
        spec.inputs['metadata']['options']['parser_name'].default = 'prospect.deepmd_train'
        spec.output('learning_curve', valid_type=ArrayData, help='The columns of `lcurve.out`.')
        spec.exit_code(305, 'ERROR_TRAINING_NAN', message='The loss is not a number any more: {message}')
        spec.exit_code(
            501,
            'ERROR_LOSS_NOT_FALLING',
            message='At the end of the training the errors of the forces are still {share:.2f} of the forces, '
            'more than {limit:.2f}.',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the input of DeePMD-kit and the part of this package that runs on the compute side."""
        target = Path(folder.abspath)
        parameters = self.inputs.parameters.get_dict()
        has_validation = self.write_frames(target)
        type_map = choose_type_map(self.inputs)
        settings = build_input(
            parameters,
            type_map,
            seed=self.inputs.seed.value,
            validation=has_validation,
            warm='initial' in self.inputs,
        )
        write_json(folder, runner.INPUT_FILE, settings)
        write_json(folder, stages.JOB_FILE, self._job(target, type_map, parameters))

        starts = [f'{runner.START_FILE}{suffix}' for suffix in runner.START_SUFFIXES]
        info = self.calc_info(
            folder,
            retrieve=[stages.RESULTS_FILE, CURVE_FILE, runner.COMPLETE_INPUT, ('*.log', '.', 0)],
            retrieve_temporary=[stages.MODEL_FILE, runner.INITIAL_FILE],
            exclude=[*TRAINING_FILES, *starts],
        )
        if 'parent_folder' in self.inputs:
            parent = self.inputs.parent_folder
            # The runner copies what there is; a copy list would stop the job if the parent had no checkpoint yet.
            info.remote_symlink_list = [(parent.computer.uuid, parent.get_remote_path(), runner.PARENT_FOLDER)]
        return info

    def _job(self, target: Path, type_map: list[str], parameters: Mapping[str, Any]) -> dict[str, Any]:
        job: dict[str, Any] = {
            'type_map': type_map,
            'compression': parameters.get('compression'),
            'initial': None,
            'backend': None,
            'sel': None,
            'start': None,
        }
        if 'initial' in self.inputs:
            initial = self.inputs.initial
            job['initial'] = f'{runner.START_FILE}{initial.suffix}'
            job['backend'] = initial.program.value
            job['sel'] = initial.metadata.get('sel')
            job['start'] = initial.metadata.get('start')
            initial.write_initial(target / job['initial'])
        return job
