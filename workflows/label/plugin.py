"""Labels with a work chain of another plugin for each frame: what such labellings have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiida import orm
from aiida.common import timezone
from aiida.engine import ProcessBuilder, ProcessSpec

from aiida_prospect.calculations.functions.extract_structure import extract_structure
from aiida_prospect.common.enums import JobLoss, LabelStatus, LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.codes import check_job, check_processes
from aiida_prospect.workflows.label.costs import RunCost, core_seconds, count_processes
from aiida_prospect.workflows.label.window import WindowLabelWorkChain, index_of
from aiida_prospect.workflows.losses import demand_after, how_it_ended, loss_of
from aiida_prospect.workflows.protocols import load_protocol, merge

# The final structure of a relaxation gets a single point where the numbers of its last step will not do.
CONTINUED = '_single_point'
# A run that was lost is repeated.
AGAIN = '_again_'


class PluginLabelWorkChain(WindowLabelWorkChain):
    """Label each frame in a work chain of a plugin, which runs one program until the frame is done or given up.

    An implementation sets the class attributes, checks what it is asked for, makes the inputs of the plugin, and reads
    how a run ended.
    """

    PROTOCOL: ClassVar[str]
    # Input ports of each task beside `parameters`, `kpoints_distance` and `max_iterations`: names and what they are.
    FLOATS: ClassVar[Mapping[str, str]]
    # The output of a run with its last structure.
    STRUCTURE: ClassVar[str]
    # Exit statuses of a run: no self-consistency; stopped in time by itself; outputs incomplete or missing.
    NOT_SELF_CONSISTENT: ClassVar[tuple[int, ...]]
    OUT_OF_TIME: ClassVar[tuple[int, ...]] = ()
    INCOMPLETE: ClassVar[tuple[int, ...]]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond the contract."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, help=f'A code for `{cls.PLUGIN}`.')
        spec.input(cls.FAMILY, valid_type=orm.Str, serializer=orm.to_aiida_type, help='Label of the family.')
        for task in LabelTask:
            spec.input_namespace(task.value, required=False, help=f'Settings for the task `{task}`.')
            spec.input(f'{task}.parameters', valid_type=orm.Dict, help='Without what depends on the frame.')
            spec.input(f'{task}.kpoints_distance', valid_type=orm.Float, help='1/Å, with 2π.')
            spec.input(f'{task}.max_iterations', valid_type=orm.Int, help='Runs before a frame is given up.')
            for name, meaning in cls.FLOATS.items():
                spec.input(f'{task}.{name}', valid_type=orm.Float, help=meaning)
        spec.input(
            'options',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            required=False,
            help='`metadata.options` of the jobs.',
        )
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def validate_inputs(cls, inputs: Mapping[str, Any], _: Any) -> str | None:
        """Refuse what cannot be run, before anything is submitted."""
        if any(key not in inputs for key in ('candidates', 'code', cls.FAMILY)):
            return None
        task = inputs['task'].value if 'task' in inputs else LabelTask.SINGLE_POINT.value
        if task not in inputs:
            return f'for the task `{task}` the namespace `{task}` must be given'
        try:
            cls.check_method(inputs, inputs[task]['parameters'].get_dict())
        except (ModuleNotFoundError, ValueError) as exception:
            return str(exception)
        options = inputs['options'].get_dict() if 'options' in inputs else {}
        return check_job(inputs['code'], options, cls.PLUGIN) or check_processes(inputs['code'], options)

    @classmethod
    def check_method(cls, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Refuse a method that the plugin or the program cannot run.

        :param parameters: of the task.
        :raises ModuleNotFoundError: if the plugin is not installed.
        :raises ValueError: if potentials are missing, or parameters make no sense.
        """
        raise NotImplementedError

    @classmethod
    def build(
        cls,
        candidates: DatasetData | None,
        code: orm.AbstractCode,
        family: str | None,
        protocol: str | None,
        overrides: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
    ) -> tuple[ProcessBuilder, dict[str, Any]]:
        """Return a builder with what all programs are told, and the values of the protocol."""
        values = load_protocol(cls.PROTOCOL, protocol, overrides)
        relax = merge(values, values['relax'])
        builder = cls.get_builder()
        if candidates is not None:
            builder.candidates = candidates
        builder.code = code
        builder[cls.FAMILY] = orm.Str(family or values[cls.FAMILY])
        builder.single_point = cls._settings(values)
        builder.relax = cls._settings(relax)
        builder.max_concurrent = orm.Int(values['max_concurrent'])
        builder.max_failed_fraction = orm.Float(values['max_failed_fraction'])
        builder.prechecks = orm.Dict(values['prechecks'])
        builder.clean_workdir = orm.Str(values['clean_workdir'])
        builder.escalation = orm.Dict(values['escalation'])
        # A code may insist on MPI, or on doing without.
        of_code = {} if code.with_mpi is None else {'withmpi': code.with_mpi}
        asked = {**values['options'], **of_code, **(options or {})}
        several = count_processes(asked.get('resources', {}), code.computer) > 1
        builder.options = orm.Dict({'withmpi': several, **asked})
        return builder, values

    @classmethod
    def _settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        floats = {name: orm.Float(values[name]) for name in ('kpoints_distance', *cls.FLOATS)}
        number = orm.Int(values['max_iterations'])
        return {'parameters': orm.Dict(values['parameters']), 'max_iterations': number, **floats}

    @classmethod
    def process_class(cls) -> Any:
        """Return the work chain of the plugin.

        :raises ModuleNotFoundError: if the plugin is not installed.
        """
        raise NotImplementedError

    def frame_inputs(
        self, structure: orm.StructureData, settings: Any, parameters: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs of the work chain of the plugin.

        :param settings: the namespace of the task.
        :param parameters: those of the task, without what moves the atoms if they must stay.
        """
        raise NotImplementedError

    def at_rest(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a single point that goes with a relaxation."""
        raise NotImplementedError

    def needs_single_point(self, run: orm.CalcJobNode) -> bool:
        """Tell whether the last energy of a relaxation that was completed is not that of a single point."""
        raise NotImplementedError

    def outputs_of(self, run: orm.CalcJobNode) -> dict[str, orm.Data]:
        """Return what the labels are made of, by the names that the calculation function knows."""
        raise NotImplementedError

    def collect(self, screened: DatasetData, outcomes: orm.Dict, **outputs: orm.Data) -> Mapping[str, orm.Data]:
        """Call the calculation function that makes labels of outputs of runs."""
        raise NotImplementedError

    def cost_of(self, run: orm.CalcJobNode) -> RunCost:
        """Return what a run took."""
        raise NotImplementedError

    def complaint_of(self, run: orm.CalcJobNode) -> str:
        """Return the words with which the program itself gave up; an empty string if it did not."""
        raise NotImplementedError

    def screen_candidates(self) -> None:
        """Line up the frames."""
        super().screen_candidates()
        self.ctx.outcomes, self.ctx.outputs, self.ctx.structures = {}, {}, {}
        # By index of a frame: what its next job is given, and how many were lost.
        self.ctx.options, self.ctx.losses = {}, {}

    @property
    def _options(self) -> dict[str, Any]:
        return self.inputs.options.get_dict() if 'options' in self.inputs else {}

    def submit_frame(self, key: str) -> orm.ProcessNode:
        """Submit the program for a frame, or for the last structure of its relaxation."""
        index = index_of(key)
        if key in self.ctx.structures:
            structure = self.ctx.structures[key]
        else:
            row = self.ctx.accepted.frames.known('source').tolist().index(index)
            structure = extract_structure(
                self.ctx.accepted, orm.Int(row), metadata={'call_link_label': f'extract_{index:04d}'}
            )
        settings = self.inputs[self.inputs.task.value]
        parameters = settings.parameters.get_dict()
        if CONTINUED in key:
            parameters = self.at_rest(parameters)
        options = self.ctx.options.get(str(index), self._options)
        inputs = self.frame_inputs(structure, settings, parameters, options)
        return self.submit(self.process_class(), **inputs, metadata={'call_link_label': key})

    def inspect_frame(self, key: str, process: orm.ProcessNode) -> None:
        """Take note of status, reason and cost; line up what is to be run after this."""
        index = str(index_of(key))
        runs = runs_of(process)
        before = self.ctx.outcomes.get(index, {'steps': 0, 'core_seconds': 0.0, 'memory_mb': None, 'reason': ''})
        status, reason = self.judge(process, runs)
        costs = [self.cost_of(run) for run in runs]
        memories = [memory for memory in (before['memory_mb'], *(cost.memory_mb for cost in costs)) if memory]
        outcome = {
            'key': key,
            'status': str(status),
            'reason': reason or before['reason'],
            'steps': before['steps'] + sum(cost.energies for cost in costs),
            'core_seconds': before['core_seconds'] + sum(map(core_seconds, runs, costs)),
            'memory_mb': max(memories, default=None),
        }
        self.ctx.outcomes = {**self.ctx.outcomes, index: outcome}
        relaxes = self.inputs.task.value == LabelTask.RELAX.value and CONTINUED not in key
        if status is LabelStatus.OK and not (relaxes and self.needs_single_point(runs[-1])):
            self._keep_outputs(key, runs[-1])
        elif status is not LabelStatus.OK and self._try_again(key, process, runs):
            outcome['reason'] = before['reason']
        elif relaxes and status is not LabelStatus.UNCONVERGED and runs and self.STRUCTURE in runs[-1].outputs:
            single_point = f'{key.split(AGAIN)[0]}{CONTINUED}'
            self.ctx.structures[single_point] = runs[-1].outputs[self.STRUCTURE]
            self.ctx.waiting.append(single_point)
        else:
            self.report(f'{key}: {status}: {reason}')

    def judge(self, process: orm.ProcessNode, runs: list[orm.CalcJobNode]) -> tuple[LabelStatus, str]:
        """Return the status of a frame and the reason for it."""
        if process.is_finished_ok:
            return LabelStatus.OK, ''
        if process.exit_status is None:
            return LabelStatus.FAILED, f'{process.process_label}<{process.pk}> was {how_it_ended(process)}'
        last = runs[-1] if runs else None
        if last is None or not last.exit_status:
            return LabelStatus.FAILED, f'{process.exit_message} (exit status {process.exit_status})'
        cause = f'{last.exit_message} (exit status {last.exit_status} of run {len(runs)})'
        complaint = self.complaint_of(last)
        unconverged = last.exit_status in self.NOT_SELF_CONSISTENT
        status = LabelStatus.UNCONVERGED if unconverged else LabelStatus.FAILED
        return status, f'{cause}: {complaint}' if complaint else cause

    def _try_again(self, key: str, process: orm.ProcessNode, runs: Sequence[orm.CalcJobNode]) -> bool:
        """Line up a frame once more if its last run was lost and may fare better; from its last structure."""
        run = runs[-1] if runs else None
        index, loss = str(index_of(key)), self._loss_of(process, run)
        if loss is None:
            return False
        losses = self.ctx.losses.get(index, [])
        of_machine = sum(JobLoss(earlier) in (JobLoss.NODE, JobLoss.SILENT) for earlier in losses)
        options = self.ctx.options.get(index, self._options)
        demand = demand_after(self.inputs.code.computer, options, loss, self.inputs.escalation, of_machine)
        lost = process if run is None else run
        self.report(f'{key}: {lost.process_label}<{lost.pk}>: {demand.sentence}')
        if demand.granted:
            again = f'{key.split(AGAIN)[0]}{AGAIN}{len(losses) + 1}'
            self.ctx.structures[again] = self._last_structure(process if run is None else run)
            self.ctx.options = {**self.ctx.options, index: demand.options}
            self.ctx.losses = {**self.ctx.losses, index: [*losses, loss.value]}
            self.ctx.waiting.append(again)
        return demand.granted

    def _last_structure(self, process: orm.ProcessNode) -> orm.StructureData:
        """Return the structure that a run has come to, or that it or the work chain around it was given."""
        if self.STRUCTURE in process.outputs:
            return process.outputs[self.STRUCTURE]
        return process.base.links.get_incoming(orm.StructureData).one().node

    def _loss_of(self, process: orm.ProcessNode, run: orm.CalcJobNode | None) -> JobLoss | None:
        """Return why a frame was lost; ``None`` if it was not.

        A work chain excepts when AiiDA itself fails: the message broker is away when it submits a run, for example.
        """
        if process.is_excepted or (run is not None and run.is_excepted):
            return JobLoss.SILENT
        if run is None:
            return None
        meanings = dict.fromkeys(self.OUT_OF_TIME, JobLoss.WALL_TIME)
        if 'retrieved' in run.outputs and not self.complaint_of(run):
            meanings |= dict.fromkeys(self.INCOMPLETE, JobLoss.SILENT)
        return loss_of(run, meanings)

    def _keep_outputs(self, key: str, run: orm.CalcJobNode) -> None:
        self.ctx.outputs |= {f'{key}_{name}': output for name, output in self.outputs_of(run).items()}
        if CONTINUED in key:
            self.ctx.outputs[f'{key}_structure'] = run.inputs.structure
        elif self.inputs.task.value == LabelTask.RELAX.value:
            self.ctx.outputs[f'{key}_structure'] = run.outputs[self.STRUCTURE]

    def collect_labels(self) -> None:
        """Make the labels of all candidates."""
        seconds = (timezone.now() - self.node.ctime).total_seconds()
        outcomes = {'frames': self.ctx.outcomes, 'costs': {'task': self.inputs.task.value, 'seconds': seconds}}
        self.ctx.collected = self.collect(
            self.ctx.screened, orm.Dict(outcomes), **self.ctx.outputs, metadata={'call_link_label': 'collect_labels'}
        )


def runs_of(process: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """Return the runs of the program that a work chain made, in their order."""
    return sorted((node for node in process.called if isinstance(node, orm.CalcJobNode)), key=lambda node: node.ctime)


def mesh_of(structure: orm.StructureData, distance: float) -> list[int]:
    """Return the mesh of k-points of a cell, as the plugins make it.

    :param distance: 1/Å, with 2π.
    """
    kpoints = orm.KpointsData()
    kpoints.set_cell_from_structure(structure)
    kpoints.set_kpoints_mesh_from_density(distance)
    mesh: list[int] = kpoints.get_kpoints_mesh()[0]
    return mesh
