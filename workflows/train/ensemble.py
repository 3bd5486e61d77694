"""An ensemble of force fields whose disagreement tells where they know too little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, ToContext, WorkChain, append_, while_
from aiida.orm import AbstractCode, ArrayData, Bool, Dict, Int, Str, WorkChainNode
from aiida.plugins import WorkflowFactory

from aiida_prospect.calculations.functions.clean_labels import clean_labels
from aiida_prospect.calculations.functions.judge_members import judge_members
from aiida_prospect.calculations.training import validate_training
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.cleaning import check_thresholds
from aiida_prospect.methods.ensemble_judgement import MAX_ATTEMPTS, member_seed
from aiida_prospect.workflows.codes import check_job
from aiida_prospect.workflows.delivery import PatientProcess
from aiida_prospect.workflows.losses import how_it_ended
from aiida_prospect.workflows.protocols import load_protocol
from aiida_prospect.workflows.train.costs import cost_of_training
from aiida_prospect.workflows.validators import validate_positive

MEMBER_WORKFLOWS = 'prospect.train.{}'
MEMBER_WORKFLOW = MEMBER_WORKFLOWS.format('deepmd')


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse numbers that cannot be met, and what the work chain of a member would refuse."""
    wanted = inputs['n_models'].value if 'n_models' in inputs else 1
    if wanted < 1:
        return f'`n_models` is {wanted}, expected at least 1'
    foreign = sorted(set(inputs.get('members', {})) - set(names_of_members(wanted)))
    if foreign:
        return f'`members.{foreign[0]}` is none of {", ".join(names_of_members(wanted))}'
    member = inputs.get('member', {})
    if 'code' not in member:
        return None
    options = member['options'].get_dict() if 'options' in member else {}
    return check_job(member['code'], options) or _refused_by_member(inputs['member_workflow'].value, member)


def names_of_members(count: int) -> list[str]:
    """Return the names by which the members of an ensemble are called."""
    return [f'member_{index:02d}' for index in range(count)]


def validate_cleaning(cleaning: Dict, _: Any) -> str | None:
    """Refuse rules and numbers that there are not."""
    try:
        check_thresholds(cleaning.get_dict())
    except ValueError as exception:
        return str(exception)
    return None


def _refused_by_member(name: str, member: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the inputs of a member, as far as they are there before the training."""
    ports = WorkflowFactory(name).spec().inputs
    for key, value in member.items():
        if key not in ports:
            return f'`member.{key}` is no input of `{name}`'
        refusal = ports[key].validate(value)
        if refusal:
            return f'`member.{key}`: {refusal.message}'
    return None


class TrainEnsembleWorkChain(PatientProcess, WorkChain):
    """Clean the labels, train force fields that differ by their seeds, and refuse those worse than the others.

    The work chain that trains a member takes ``training``, ``acceptance``, ``seed``, perhaps ``initial``, and whatever
    is in the namespace ``member``; it returns ``potential``, ``results`` (with ``errors`` on ``training`` and perhaps
    on ``validation``, ``n_training``, ``n_validation``, ``total_seconds``) and perhaps ``learning_curve``. Errors are
    measured on the same frames for all members, also where each is trained on others. Its jobs tell ``total_seconds``
    in a ``results`` of theirs; else those that the scheduler saw are what they cost.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.input_namespace('training', valid_type=DatasetData, dynamic=True, validator=validate_training)
        spec.input_namespace(
            'initial', valid_type=PotentialData, dynamic=True, required=False, help='One for each member to start from.'
        )
        spec.input(
            'pretrained',
            valid_type=PotentialData,
            required=False,
            help='What a member starts from that has nothing else in `initial`, or that is trained again.',
        )
        spec.input('n_models', valid_type=Int, default=lambda: Int(4))
        spec.input(
            'max_concurrent',
            valid_type=Int,
            default=lambda: Int(4),
            validator=validate_positive,
            help='Trainings at the same time.',
        )
        spec.input('seed', valid_type=Int, default=lambda: Int(0))
        spec.input('member_workflow', valid_type=Str, default=lambda: Str(MEMBER_WORKFLOW))
        spec.input_namespace('member', dynamic=True, help='Inputs of the work chain that trains a member.')
        spec.input_namespace('members', dynamic=True, required=False, help='Laid over them: `member_01.parameters`, ….')
        spec.input('cleaning', valid_type=Dict, validator=validate_cleaning, help='Thresholds of `clean_labels`.')
        spec.input('ensemble', valid_type=Dict, help='`max_error_ratio` and `min_models`.')
        spec.inputs.validator = validate_inputs
        spec.output_namespace('potentials', valid_type=PotentialData, dynamic=True)
        spec.output_namespace('curves', valid_type=ArrayData, dynamic=True, help='Learning curves.')
        spec.output('acceptance', valid_type=Dict, help='Which frames were rejected, and why.')
        spec.output('report', valid_type=Dict, help='Errors of the members, which were refused, and why.')
        spec.outline(
            cls.setup,
            cls.clean,
            cls.inspect_cleaning,
            while_(cls.should_train)(cls.train_members, cls.inspect_members),
            cls.results,
        )
        spec.exit_code(201, 'ERROR_NO_TRAINING_DATA', message='All {count} frames were rejected: {reasons}')
        spec.exit_code(
            402, 'ERROR_MEMBERS_FAILED', message='Of {wanted} potentials {good} are good, fewer than {least}: {reasons}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        training: Mapping[str, DatasetData] | None = None,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder.

        :param code: Python interpreter with what trains the force field.
        :param training: sets of labelled frames.
        :param protocol: ``fast``, ``balanced`` or ``stringent``.
        :param overrides: laid over the values of the protocol; those under ``member`` over the member's protocol.
        :param options: ``metadata.options`` of the jobs, laid over those of the protocol.
        """
        values = load_protocol('train_ensemble', protocol, overrides)
        member_workflow = MEMBER_WORKFLOWS.format(values['force_field'])
        member = WorkflowFactory(member_workflow).get_builder_from_protocol(
            code, protocol=protocol, overrides=values['member'], options={**values['options'], **(options or {})}
        )
        builder = cls.get_builder()
        if training:
            builder.training = dict(training)
        builder.n_models = Int(values['n_models'])
        builder.max_concurrent = Int(values['max_concurrent'])
        builder.cleaning = Dict(values['cleaning'])
        builder.ensemble = Dict(values['ensemble'])
        builder.member_workflow = Str(member_workflow)
        builder.member = member._inputs(prune=True)
        return builder

    def setup(self) -> None:
        """Queue the first training of each member."""
        self.ctx.workflow = WorkflowFactory(self.inputs.member_workflow.value)
        self.ctx.names = names_of_members(self.inputs.n_models.value)
        self.ctx.queue = [(index, 0) for index in range(self.inputs.n_models.value)]
        self.ctx.launched = []
        self.ctx.latest = {}
        self.ctx.judgement = None
        self.ctx.initial = self._choose_initial()

    def _choose_initial(self) -> list[PotentialData]:
        """Return the potentials to start from, none if they do not know an element of the training data."""
        initial = [node for _, node in sorted(self.inputs.get('initial', {}).items())]
        elements = {symbol for dataset in self.inputs.training.values() for symbol in dataset.elements}
        foreign = elements - {symbol for node in initial for symbol in node.type_map}
        if initial and foreign:
            self.report(f'the earlier potentials are no start: they do not know {", ".join(sorted(foreign))}')
            return []
        return initial

    def _start_of(self, index: int, attempt: int) -> PotentialData | None:
        """Return what a training starts from, ``None`` for scratch.

        A member that came out badly from an ensemble trained before leaves it; what was trained elsewhere on other
        data stays the better start, and another seed gives it another course.
        """
        given = self.ctx.initial[index] if index < len(self.ctx.initial) else None
        if given is not None and (attempt == 0 or given.creator is None):
            return given
        return self.inputs.get('pretrained')

    def clean(self) -> None:
        """Screen the labels."""
        self.ctx.acceptance = clean_labels(parameters=self.inputs.cleaning, **self.inputs.training)

    def inspect_cleaning(self) -> ExitCode | None:
        """End if nothing is left to train on."""
        self.out('acceptance', self.ctx.acceptance)
        counts = Counter(reason for found in self.ctx.acceptance['rejected'].values() for reason in found.values())
        total = sum(self.ctx.acceptance['n_frames'].values())
        if counts:
            self.report(f'{sum(counts.values())} of {total} frames are left out')
        if self.ctx.acceptance['n_accepted'] == 0:
            reasons = '; '.join(f'{reason} ({count})' for reason, count in counts.most_common(3))
            return self.exit_codes.ERROR_NO_TRAINING_DATA.format(count=total, reasons=reasons)
        return None

    def should_train(self) -> bool:
        """Tell whether trainings are left to be started."""
        return bool(self.ctx.queue)

    def train_members(self) -> ToContext:
        """Start as many trainings as may run at the same time."""
        batch = [self.ctx.queue.pop(0) for _ in range(min(self.inputs.max_concurrent.value, len(self.ctx.queue)))]
        for index, attempt in batch:
            node = self.submit(self.ctx.workflow, **self._member_inputs(index, attempt))
            self.ctx.launched.append((index, attempt))
            self.to_context(trainings=append_(node))
        return ToContext()

    def _member_inputs(self, index: int, attempt: int) -> AttributeDict:
        name = self.ctx.names[index]
        inputs = AttributeDict({**self.inputs.member, **self.inputs.get('members', {}).get(name, {})})
        inputs.training = dict(self.inputs.training)
        inputs.acceptance = self.ctx.acceptance
        inputs.seed = Int(member_seed(self.inputs.seed.value, index, attempt))
        start = self._start_of(index, attempt)
        if start is not None:
            inputs.initial = start
            if 'keep_initial' in self.ctx.workflow.spec().inputs:
                inputs.keep_initial = Bool('pretrained' in self.inputs and start.uuid == self.inputs.pretrained.uuid)
            refusal = self.ctx.workflow.spec().inputs.validate(inputs)
            if refusal:
                self.report(f'{name} is trained from scratch: {refusal.message}')
                inputs.pop('initial')
        inputs.metadata = {'call_link_label': name if attempt == 0 else f'{name}_again'}
        return inputs

    def inspect_members(self) -> None:
        """When all are trained, compare them, and queue a second training of those that are bad."""
        if self.ctx.queue:
            return
        latest: dict[int, tuple[int, WorkChainNode]] = {}
        for (index, attempt), node in zip(self.ctx.launched, self.ctx.trainings, strict=True):
            latest[index] = (attempt, node)
        self.ctx.latest = {self.ctx.names[index]: node for index, (_, node) in latest.items()}
        failures = {
            name: f'{node.process_label}<{node.pk}> ended with {how_it_ended(node)}'
            for name, node in self.ctx.latest.items()
            if not node.is_finished_ok
        }
        results = {name: node.outputs.results for name, node in self.ctx.latest.items() if name not in failures}
        self.ctx.judgement = judge_members(
            parameters=self.inputs.ensemble, failures=Dict(failures), costs=Dict(self._costs()), **results
        )
        for name, reason in sorted(self.ctx.judgement['refused'].items()):
            index = self.ctx.names.index(name)
            attempt = latest[index][0] + 1
            start = self._start_of(index, attempt)
            again = attempt < MAX_ATTEMPTS and not _is_hopeless(latest[index][1], start)
            how = 'from scratch' if start is None else 'from the pretrained potential with another seed'
            self.report(f'{name} is {f"trained again {how}" if again else "not used"}: {reason}')
            if again:
                self.ctx.queue.append((index, attempt))

    def _costs(self) -> dict[str, float]:
        """Return the core seconds of all trainings of each member."""
        costs = dict.fromkeys(self.ctx.names, 0.0)
        for (index, _), training in zip(self.ctx.launched, self.ctx.trainings, strict=True):
            costs[self.ctx.names[index]] += cost_of_training(training)
        return costs

    def results(self) -> ExitCode | None:
        """Attach the good potentials and all learning curves."""
        judgement = self.ctx.judgement
        self.out('report', judgement)
        accepted = judgement['accepted']
        for number, name in enumerate(accepted):
            self.out(f'potentials.potential_{number:02d}', self.ctx.latest[name].outputs.potential)
        for name, node in self.ctx.latest.items():
            if 'learning_curve' in node.outputs:
                self.out(f'curves.{name}', node.outputs.learning_curve)
        wanted = self.inputs.n_models.value
        least = min(wanted, self.inputs.ensemble.get_dict().get('min_models', 2))
        if len(accepted) < least:
            reasons = '; '.join(f'{name}: {reason}' for name, reason in sorted(judgement['refused'].items()))
            return self.exit_codes.ERROR_MEMBERS_FAILED.format(
                good=len(accepted), wanted=wanted, least=least, reasons=reasons
            )
        return None


def _is_hopeless(training: WorkChainNode, start: PotentialData | None) -> bool:
    """Tell whether another training would fail as this one did.

    Data that do not fit may fit if the next one starts from something else.

    :param start: of the next training.
    """
    before = training.inputs.initial.uuid if 'initial' in training.inputs else None
    same = before == (None if start is None else start.uuid)
    return same and (training.exit_status or 0) // 100 == 2
