"""Labels judged by fits of ML-POD that have not seen them."""

from __future__ import annotations

from pathlib import Path

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict

from aiida_prospect.calculations.evaluate import EvaluateCalculation
from aiida_prospect.calculations.functions.joined_labels import joined, reasons_to_leave_out
from aiida_prospect.calculations.pod_train import PodTrainCalculation
from aiida_prospect.calculations.runners import evaluate, leave_out
from aiida_prospect.calculations.training import write_json
from aiida_prospect.data.dataset import DatasetData


class LeaveOutCalculation(EvaluateCalculation):
    """Predict each label by fits without it and without what is doubted, see :mod:`aiida_prospect.methods.left_out`.

    The interpreter needs the Python module of LAMMPS. The potentials are those that the labels were fitted with; they
    tell the elements.
    """

    RUNTIME = (
        'aiida_prospect.calculations.runners.leave_out',
        'aiida_prospect.methods.audit',
        'aiida_prospect.methods.left_out',
        *PodTrainCalculation.RUNTIME,
        *EvaluateCalculation.RUNTIME,
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define what is needed beyond an evaluation."""
        super().define(spec)
        spec.input_namespace('labels', valid_type=DatasetData, dynamic=True, help='Of the frames, set by set.')
        spec.input('acceptance', valid_type=Dict, required=False, help='Which of them were rejected.')
        spec.input('parameters', valid_type=Dict, help='Of the training, as in the protocols.')
        spec.input('limits', valid_type=Dict, help='Fields of `AuditSettings`.')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the labels, the settings and the part of this package that runs on the compute side."""
        joined(self.inputs.labels).save(Path(folder.abspath) / evaluate.FRAMES)
        potential = self.inputs.potentials[min(self.inputs.potentials)]
        job = {
            'type_map': potential.type_map,
            'parameters': self.inputs.parameters.get_dict(),
            'limits': self.inputs.limits.get_dict(),
            'left_out': reasons_to_leave_out(self.inputs.labels, self.inputs.get('acceptance')),
        }
        write_json(folder, leave_out.JOB, job)
        return self.calc_info(
            folder,
            retrieve=[evaluate.STATISTICS],
            retrieve_temporary=[evaluate.RESULT],
            exclude=[evaluate.FRAMES],
        )
