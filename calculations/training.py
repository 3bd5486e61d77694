"""What the trainings of all kinds of force fields have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict, Int

from aiida_prospect.calculations.base import RunnerCalculation, define_failures
from aiida_prospect.calculations.runners import stages
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.deepmd_input import type_map_of
from aiida_prospect.methods.training_set import divide, gather


def validate_training(training: Mapping[str, DatasetData], _: Any) -> str | None:
    """Refuse to train on nothing."""
    labelled = [dataset for dataset in training.values() if {'energy', 'forces'} <= set(dataset.known) and len(dataset)]
    return None if labelled else 'no set of frames has energies and forces'


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


TRAINING_FILES = (stages.TRAINING_FILE, stages.VALIDATION_FILE)


class TrainCalculation(RunnerCalculation):
    """A training on the compute side."""

    STEM = 'train'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace('training', valid_type=DatasetData, dynamic=True, validator=validate_training)
        spec.input(
            'acceptance', valid_type=Dict, required=False, help='Which frames were rejected, see `clean_labels`.'
        )
        spec.input('parameters', valid_type=Dict, help='As in the protocols.')
        spec.input('seed', valid_type=Int, default=lambda: Int(0))
        spec.input('initial', valid_type=PotentialData, required=False, help='Start from this one, not from scratch.')
        spec.output('potential', valid_type=PotentialData)
        spec.output('results', valid_type=Dict, help='Errors on training and validation data, seconds, backend.')
        spec.default_output_node = 'results'
        spec.exit_code(201, 'ERROR_INVALID_DATA', message='The data or parameters do not fit: {message}')
        define_failures(
            spec,
            {
                202: ('ERROR_BACKEND_NOT_FOUND', 'The code cannot train: {message}'),
                303: ('ERROR_INTERRUPTED', 'The job ended before it had written its results: {cause}'),
                304: ('ERROR_STAGE_FAILED', '`{stage}` failed: {message}'),
                306: ('ERROR_OUTPUT_UNREADABLE', '{name} cannot be read: {message}'),
            },
        )

    def write_frames(self, target: Path) -> bool:
        """Write training and validation frames into the folder of the job; tell whether there are the latter."""
        frames = gather_training(self.inputs.training, self.inputs.get('acceptance'))
        training, validation = divide(frames, self.inputs.parameters.get_dict(), self.inputs.seed.value)
        training.save(target / stages.TRAINING_FILE)
        if validation is not None:
            validation.save(target / stages.VALIDATION_FILE)
        return validation is not None


def write_json(folder: Folder, name: str, content: Mapping[str, Any]) -> None:
    """Write a file of the job."""
    with folder.open(name, 'w', encoding='utf8') as handle:
        json.dump(content, handle, indent=2)
