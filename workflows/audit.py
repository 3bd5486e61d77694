"""Labels judged by the ensemble that was trained on them, and computed again where they do not agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessSpec, ToContext, WorkChain, if_
from aiida.plugins import CalculationFactory, DataFactory, WorkflowFactory

from aiida_prospect.calculations.functions.audit_labels import audit_labels
from aiida_prospect.calculations.functions.compare_labels import compare_labels
from aiida_prospect.calculations.functions.join_labels import join_labels
from aiida_prospect.common.enums import Backend, LabelTask
from aiida_prospect.methods.audit import AuditSettings
from aiida_prospect.workflows.delivery import PatientProcess
from aiida_prospect.workflows.losses import how_it_ended

DatasetData = DataFactory('prospect.dataset')
PotentialData = DataFactory('prospect.potential')
EvaluateCalculation = CalculationFactory('prospect.evaluate')
LeaveOutCalculation = CalculationFactory('prospect.leave_out')


def validate_parameters(parameters: orm.Dict, _: Any) -> str | None:
    """Refuse unknown and impossible limits."""
    try:
        AuditSettings(**parameters.get_dict())
    except (TypeError, ValueError) as exception:
        return str(exception)
    return None


def validate_labels(labels: Mapping[str, Any], _: Any) -> str | None:
    """Refuse to judge nothing."""
    labelled = [node for node in labels.values() if {'energy', 'forces'} <= set(node.known)]
    return None if labelled and len(labelled) == len(labels) else 'every set must have energies and forces'


def parameters_of_fit(potentials: Mapping[str, Any]) -> orm.Dict | None:
    """Return with which parameters linear force fields were fitted; ``None`` if they are others or it is not known."""
    makers = [potential.creator for potential in potentials.values() if potential.program is Backend.POD]
    known = [maker.inputs.parameters for maker in makers if maker is not None]
    return known[0] if known and len(known) == len(potentials) else None


class AuditWorkChain(PatientProcess, WorkChain):
    """Find labels that the ensemble does not agree with; if asked for, label those structures again and compare.

    The labels of a search stay what they are; those that were computed again are in ``corrected``, set by set.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.input_namespace('labels', valid_type=DatasetData, dynamic=True, validator=validate_labels)
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True, help='Trained on these labels.')
        spec.input('acceptance', valid_type=orm.Dict, required=False, help='What they were not trained on.')
        spec.input('parameters', valid_type=orm.Dict, validator=validate_parameters, help='Of `AuditSettings`.')
        spec.input('code', valid_type=orm.AbstractCode, help='Python interpreter of the compute side.')
        spec.input('options', valid_type=orm.Dict, default=lambda: orm.Dict({}), help='`metadata.options` of the job.')
        spec.input_namespace('recompute', required=False, help='How doubted structures are labelled again.')
        spec.input('recompute.workflow', valid_type=orm.Str, required=False, help='Entry point of the labelling.')
        spec.input_namespace('recompute.inputs', dynamic=True, required=False, help='Its inputs.')
        spec.outline(
            cls.run_evaluation,
            cls.inspect_evaluation,
            if_(cls.should_recompute)(cls.run_recompute, cls.inspect_recompute),
        )
        spec.output('report', valid_type=orm.Dict, help='What was found about each label.')
        spec.output('suspects', valid_type=DatasetData, required=False, help='Structures whose labels are doubted.')
        spec.output('changes', valid_type=orm.Dict, required=False, help='Old and new numbers of the suspects.')
        spec.output_namespace('corrected', valid_type=DatasetData, dynamic=True, required=False)
        spec.exit_code(401, 'ERROR_EVALUATION_FAILED', message='the ensemble could not be evaluated: {detail}')
        spec.exit_code(402, 'ERROR_RECOMPUTATION_FAILED', message='no suspect could be labelled again: {detail}')

    def run_evaluation(self) -> Any:
        """Ask the ensemble; where it is fitted in no time, ask fits without the label that is judged."""
        frames = join_labels(**self.inputs.labels, metadata={'call_link_label': 'join_labels'})
        inputs = {
            'code': self.inputs.code,
            'frames': frames,
            'potentials': dict(self.inputs.potentials),
            'metadata': {'options': self.inputs.options.get_dict(), 'call_link_label': 'evaluate'},
        }
        training = parameters_of_fit(self.inputs.potentials)
        if training is None:
            return ToContext(evaluation=self.submit(EvaluateCalculation, **inputs))
        accepted = {'acceptance': self.inputs.acceptance} if 'acceptance' in self.inputs else {}
        more = {'labels': dict(self.inputs.labels), 'parameters': training, 'limits': self.inputs.parameters}
        return ToContext(evaluation=self.submit(LeaveOutCalculation, **inputs, **more, **accepted))

    def inspect_evaluation(self) -> ExitCode | None:
        """Judge the labels."""
        node = self.ctx.evaluation
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(detail=how_it_ended(node))
        acceptance = {'acceptance': self.inputs.acceptance} if 'acceptance' in self.inputs else {}
        self.ctx.audit = audit_labels(
            evaluated=node.outputs.evaluated,
            parameters=self.inputs.parameters,
            **acceptance,
            **self.inputs.labels,
            metadata={'call_link_label': 'audit_labels'},
        )
        for name, output in self.ctx.audit.items():
            self.out(name, output)
        counts = self.ctx.audit['report']['by_verdict']
        self.report('labels: ' + ', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count))
        return None

    def should_recompute(self) -> bool:
        """Tell whether there are labels that are doubted, and a way to make them again."""
        return 'suspects' in self.ctx.audit and 'workflow' in self.inputs.get('recompute', {})

    def run_recompute(self) -> Any:
        """Label the suspects again."""
        workflow = WorkflowFactory(self.inputs.recompute.workflow.value)
        return ToContext(
            recomputation=self.submit(
                workflow,
                **self.inputs.recompute.get('inputs', {}),
                candidates=self.ctx.audit['suspects'],
                task=orm.Str(LabelTask.SINGLE_POINT.value),
                metadata={'call_link_label': 'label_again'},
            )
        )

    def inspect_recompute(self) -> ExitCode | None:
        """Compare."""
        node = self.ctx.recomputation
        if 'labels' not in node.outputs:
            detail = how_it_ended(node)
            return self.exit_codes.ERROR_RECOMPUTATION_FAILED.format(detail=detail)
        compared = compare_labels(
            recomputed=node.outputs.labels, **self.inputs.labels, metadata={'call_link_label': 'compare_labels'}
        )
        self.out('changes', compared['changes'])
        for name, labels in compared.get('corrected', {}).items():
            self.out(f'corrected.{name}', labels)
        if 'corrected' not in compared:
            return self.exit_codes.ERROR_RECOMPUTATION_FAILED.format(detail=node.exit_message)
        return None
