"""Training of one force field with DeePMD-kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.orm import ArrayData, Dict, Int, RemoteData

from aiida_prospect.calculations.runners import train as runner
from aiida_prospect.calculations.runtime import copy_runtime
from aiida_prospect.common.enums import Backend
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.deepmd_input import CURVE_FILE, build_input, type_map_of
from aiida_prospect.methods.training_set import divide, gather

RUNTIME = (
    'aiida_prospect.calculations.runners.train',
    'aiida_prospect.common',
    'aiida_prospect.methods.deepmd_input',
    'aiida_prospect.methods.deepmd_systems',
    'aiida_prospect.methods.evaluators.base',
    'aiida_prospect.methods.evaluators.deepmd',
    'aiida_prospect.methods.learning_curve',
    'aiida_prospect.methods.model_errors',
    'aiida_prospect.methods.zbl',
)
OUTPUT_FILE = 'train.out'
ERROR_FILE = 'train.err'


def validate_training(training: Mapping[str, DatasetData], _: Any) -> str | None:
    """Refuse to train on nothing."""
    labelled = [dataset for dataset in training.values() if {'energy', 'forces'} <= set(dataset.known) and len(dataset)]
    return None if labelled else 'no set of frames has energies and forces'


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
    if initial is not None and initial.program is Backend.ASE:
        return 'a training cannot start from a calculator of ASE'
    if initial is not None and initial.type_map != type_map:
        return f'the potential to start from has the types {initial.type_map}, the training {type_map}'
    return None


def choose_type_map(inputs: Mapping[str, Any]) -> list[str]:
    """Return the type map: that asked for, that of the potential to start from, or all elements by atomic number.

    :raises ValueError: if it lacks an element of the training data.
    """
    elements = {symbol for dataset in inputs['training'].values() for symbol in dataset.elements}
    given = inputs['parameters'].get_dict().get('type_map')
    initial = inputs.get('initial')
    type_map = list(given or (initial.type_map if initial is not None else type_map_of(elements)))
    foreign = elements - set(type_map)
    if foreign:
        raise ValueError(f'the training data hold {", ".join(sorted(foreign))}, the type map is {", ".join(type_map)}')
    return type_map


def gather_training(training: Mapping[str, DatasetData], acceptance: Dict | None) -> Frames:
    """Return the labelled frames that were not rejected."""
    rejected: dict[str, list[int]] = {}
    if acceptance is not None:
        rejected = {name: [int(i) for i in indices] for name, indices in acceptance['rejected'].items()}
    return gather({name: dataset.frames for name, dataset in training.items()}, rejected)


class DeepmdTrainCalculation(CalcJob):
    """Train, freeze, compress and test one force field; the code is a Python interpreter of the compute side.

    Which backend of DeePMD-kit runs belongs to the code: its environment variable ``DP_BACKEND`` (``tensorflow`` or
    ``pytorch``), by default what is installed there, TensorFlow first.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace('training', valid_type=DatasetData, dynamic=True, validator=validate_training)
        spec.input(
            'acceptance', valid_type=Dict, required=False, help='Which frames were rejected, see `clean_labels`.'
        )
        spec.input('parameters', valid_type=Dict, validator=validate_parameters, help='As in the protocols.')
        spec.input('seed', valid_type=Int, default=lambda: Int(0))
        spec.input('initial', valid_type=PotentialData, required=False, help='Start from this one, not from scratch.')
        spec.input('parent_folder', valid_type=RemoteData, required=False, help='Continue from its last checkpoint.')
        spec.inputs.validator = validate_inputs
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'prospect.deepmd_train'
        options['output_filename'].default = OUTPUT_FILE
        options['withmpi'].default = False
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        spec.output('potential', valid_type=PotentialData)
        spec.output('learning_curve', valid_type=ArrayData, help='The columns of `lcurve.out`.')
        spec.output('results', valid_type=Dict, help='Errors on training and validation data, seconds, backend.')
        spec.default_output_node = 'results'
        spec.exit_code(201, 'ERROR_INVALID_DATA', message='The data or parameters do not fit: {message}')
        spec.exit_code(
            202, 'ERROR_BACKEND_NOT_FOUND', invalidates_cache=True, message='The code cannot train: {message}'
        )
        spec.exit_code(
            303, 'ERROR_INTERRUPTED', invalidates_cache=True, message='The job ended before it had written its results.'
        )
        spec.exit_code(304, 'ERROR_STAGE_FAILED', invalidates_cache=True, message='`{stage}` failed: {message}')
        spec.exit_code(305, 'ERROR_TRAINING_NAN', message='The loss is not a number any more: {message}')
        spec.exit_code(
            306, 'ERROR_OUTPUT_UNREADABLE', invalidates_cache=True, message='{name} cannot be read: {message}'
        )
        spec.exit_code(
            501,
            'ERROR_LOSS_NOT_FALLING',
            message='At the end of the training the errors of the forces are still {share:.2f} of the forces, '
            'more than {limit:.2f}.',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the input of DeePMD-kit and the part of this package that runs on the compute side."""
        target = Path(folder.abspath)
        parameters, seed = self.inputs.parameters.get_dict(), self.inputs.seed.value
        frames = gather_training(self.inputs.training, self.inputs.get('acceptance'))
        training, validation = divide(frames, parameters, seed)
        training.save(target / runner.TRAINING_FILE)
        if validation is not None:
            validation.save(target / runner.VALIDATION_FILE)
        type_map = choose_type_map(self.inputs)
        settings = build_input(
            parameters, type_map, seed=seed, validation=validation is not None, warm='initial' in self.inputs
        )
        _write_json(folder, runner.INPUT_FILE, settings)
        _write_json(folder, runner.JOB_FILE, self._job(target, type_map, parameters))

        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = ['-m', RUNTIME[0]]
        code.stdout_name, code.stderr_name = self.options.output_filename, ERROR_FILE
        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = [
            *(self.options.output_filename, ERROR_FILE, runner.RESULTS_FILE, CURVE_FILE, runner.COMPLETE_INPUT),
            ('*.log', '.', 0),
        ]
        info.retrieve_temporary_list = [runner.MODEL_FILE, runner.INITIAL_FILE]
        excluded = [
            runner.TRAINING_FILE,
            runner.VALIDATION_FILE,
            *(f'{runner.START_FILE}{s}' for s in runner.SUFFIX.values()),
        ]
        info.provenance_exclude_list = [*excluded, *copy_runtime(folder, *RUNTIME)]
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
        }
        if 'initial' in self.inputs:
            initial = self.inputs.initial
            job['initial'] = f'{runner.START_FILE}{initial.suffix}'
            job['backend'] = initial.program.value
            job['sel'] = initial.metadata.get('sel')
            initial.write_initial(target / job['initial'])
        return job


def _write_json(folder: Folder, name: str, content: Mapping[str, Any]) -> None:
    with folder.open(name, 'w', encoding='utf8') as handle:
        json.dump(content, handle, indent=2)
