"""Fit of one force field of proper orthogonal descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict

from aiida_prospect.calculations.runners import stages
from aiida_prospect.calculations.training import TRAINING_FILES, TrainCalculation, choose_type_map, write_json
from aiida_prospect.methods.pod_settings import PodSettings


def validate_parameters(parameters: Dict, _: Any) -> str | None:
    """Refuse parameters with which nothing can be fitted."""
    try:
        PodSettings.from_parameters(parameters.get_dict())
    except (KeyError, TypeError, ValueError) as exception:
        return f'{type(exception).__name__}: {exception}'
    return None


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse elements that the type map does not know."""
    if not {'training', 'parameters'} <= set(inputs):
        return None
    try:
        choose_type_map(inputs)
    except ValueError as exception:
        return str(exception)
    return None


class PodTrainCalculation(TrainCalculation):
    """Fit and test one force field of ML-POD; the interpreter needs the Python module of LAMMPS, numpy, scipy and ASE.

    The potential to start from only tells the type map: a linear fit finds its minimum from anywhere.
    """

    RUNTIME = (
        'aiida_prospect.calculations.runners.train_pod',
        'aiida_prospect.calculations.runners.stages',
        'aiida_prospect.common',
        'aiida_prospect.methods.evaluators.base',
        'aiida_prospect.methods.evaluators.pod',
        'aiida_prospect.methods.lammps_box',
        'aiida_prospect.methods.lammps_potentials',
        'aiida_prospect.methods.model_errors',
        'aiida_prospect.methods.pod_equations',
        'aiida_prospect.methods.pod_fit',
        'aiida_prospect.methods.pod_model',
        'aiida_prospect.methods.pod_settings',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs['parameters'].validator = validate_parameters
        spec.inputs.validator = validate_inputs
        spec.inputs['metadata']['options']['parser_name'].default = 'prospect.pod_train'
        spec.exit_code(305, 'ERROR_TRAINING_NAN', message='The fit gives no numbers: {message}')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the frames, the parameters and the part of this package that runs on the compute side."""
        self.write_frames(Path(folder.abspath))
        job = {
            'type_map': choose_type_map(self.inputs),
            'parameters': self.inputs.parameters.get_dict(),
            'seed': self.inputs.seed.value,
        }
        write_json(folder, stages.JOB_FILE, job)
        return self.calc_info(
            folder,
            retrieve=[stages.RESULTS_FILE],
            retrieve_temporary=[stages.MODEL_FILE],
            exclude=TRAINING_FILES,
        )
