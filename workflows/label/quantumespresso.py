"""Labels from Quantum ESPRESSO, by way of the plugin aiida-quantumespresso."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from aiida import orm
from aiida.common import exceptions, timezone
from aiida.engine import ProcessBuilder, ProcessSpec
from aiida.plugins import WorkflowFactory

from aiida_prospect.calculations.functions.collect_quantumespresso import collect_quantumespresso
from aiida_prospect.calculations.functions.extract_structure import extract_structure
from aiida_prospect.common.enums import JobLoss, LabelStatus, LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.label.codes import check_code
from aiida_prospect.workflows.label.window import WindowLabelWorkChain, index_of
from aiida_prospect.workflows.losses import demand_after, loss_of
from aiida_prospect.workflows.protocols import load_protocol

PLUGIN = 'quantumespresso.pw'
# Exit codes of PwCalculation: no self-consistency, at all or in a step of a relaxation.
NOT_SELF_CONSISTENT = (410, 510, 511, 710)
FLOATS = ('kpoints_distance', 'conv_thr_per_atom', 'etot_conv_thr_per_atom')
CONVERGED_EXCEPT_IN_FINAL_SCF = 501
# The plugin restarts runs of pw.x that stopped in time, some times; then it gives them up.
OUT_OF_TIME = dict.fromkeys((340, 400), JobLoss.WALL_TIME)
# Outputs incomplete or missing: killed by someone else, if pw.x itself does not say what is wrong.
PW_LOSSES = {**OUT_OF_TIME, **dict.fromkeys((302, 303, 305, 312), JobLoss.SILENT)}
# After a relaxation that was not completed its last structure gets a single point.
CONTINUED = '_single_point'
# A run that was lost is repeated.
AGAIN = '_again_'


def load_pw_base() -> Any:
    """Return the work chain that runs pw.x.

    :raises ModuleNotFoundError: if aiida-quantumespresso is not installed.
    """
    try:
        return WorkflowFactory('quantumespresso.pw.base')
    except exceptions.EntryPointError as exception:
        raise ModuleNotFoundError(
            'labels from Quantum ESPRESSO need aiida-quantumespresso: pip install "aiida-prospect[qe]"'
        ) from exception


def load_family(label: str) -> orm.Group:
    """Return a family of pseudopotentials.

    :raises ValueError: if it is not there, with what to do.
    """
    query = orm.QueryBuilder().append(orm.Group, filters={'label': label, 'type_string': {'like': 'pseudo.family%'}})
    families = query.all(flat=True)
    if len(families) == 1:
        return families[0]
    known = orm.QueryBuilder().append(orm.Group, filters={'type_string': {'like': 'pseudo.family%'}}, project='label')
    raise ValueError(
        f'there is no family of pseudopotentials `{label}`; installed: {", ".join(known.all(flat=True)) or "none"}. '
        'To download one: `aiida-pseudo install sssp -v 1.3 -x PBE`; from a folder of UPF files: '
        '`aiida-pseudo install family FOLDER LABEL -F pseudo.family.cutoffs -P pseudo.upf`'
    )


def find_cutoffs(family: Any, elements: tuple[str, ...], parameters: Mapping[str, Any]) -> dict[str, float]:
    """Return ``ecutwfc`` and ``ecutrho`` in Ry, the same for all structures of these elements.

    :raises ValueError: if the family lacks an element or, where needed, its cut-offs.
    """
    missing = sorted(set(elements) - set(family.elements))
    if missing:
        raise ValueError(
            f'the family `{family.label}` has no pseudopotential of {", ".join(missing)}: add the UPF files to its '
            'folder and install it under another label, or give a family that covers all elements'
        )
    given = parameters.get('SYSTEM', {})
    if 'ecutwfc' in given:
        return {key: given[key] for key in ('ecutwfc', 'ecutrho') if key in given}
    try:
        ecutwfc, ecutrho = family.get_recommended_cutoffs(elements=tuple(elements), unit='Ry')
    except (AttributeError, ValueError) as exception:
        raise ValueError(
            f'the family `{family.label}` recommends no cut-offs for {", ".join(elements)}: set them with '
            '`aiida-pseudo family cutoffs set`, or give `ecutwfc` and `ecutrho` in `parameters.SYSTEM`'
        ) from exception
    return {'ecutwfc': ecutwfc, 'ecutrho': ecutrho}


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse what cannot be run: no plugin, code, pseudopotentials or cut-offs."""
    if any(key not in inputs for key in ('candidates', 'code', 'pseudo_family')):
        return None
    task = inputs['task'].value if 'task' in inputs else LabelTask.SINGLE_POINT.value
    if task not in inputs:
        return f'for the task `{task}` the namespace `{task}` must be given'
    try:
        load_pw_base()
        family = load_family(inputs['pseudo_family'].value)
        find_cutoffs(family, inputs['candidates'].elements, inputs[task]['parameters'].get_dict())
    except (ModuleNotFoundError, ValueError) as exception:
        return str(exception)
    return check_code(inputs['code'], PLUGIN)


class QuantumEspressoLabelWorkChain(WindowLabelWorkChain):
    """Label with pw.x, each frame in a ``PwBaseWorkChain``.

    The energy is the free energy of the smeared electrons, whose derivatives forces and stress are.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond the contract."""
        super().define(spec)
        optional: dict[str, Any] = {'serializer': orm.to_aiida_type, 'required': False}
        spec.input('code', valid_type=orm.AbstractCode, help='pw.x')
        spec.input('pseudo_family', valid_type=orm.Str, serializer=orm.to_aiida_type, help='Label of the family.')
        for task in LabelTask:
            spec.input_namespace(task.value, required=False, help=f'Settings for the task `{task}`.')
            spec.input(f'{task}.parameters', valid_type=orm.Dict, help='Namelists, without what depends on the frame.')
            spec.input(f'{task}.kpoints_distance', valid_type=orm.Float, help='1/Å, with 2π.')
            spec.input(f'{task}.conv_thr_per_atom', valid_type=orm.Float, help='Ry.')
            spec.input(f'{task}.etot_conv_thr_per_atom', valid_type=orm.Float, help='Ry; for relaxations.')
            spec.input(f'{task}.max_iterations', valid_type=orm.Int, help='Runs of pw.x before a frame is given up.')
        spec.input('options', valid_type=orm.Dict, help='`metadata.options` of the jobs.', **optional)
        spec.input('parallelization', valid_type=orm.Dict, help='For example `{npool: 2}`.', **optional)
        spec.inputs.validator = validate_inputs

    @classmethod
    def get_builder_from_protocol(
        cls,
        candidates: DatasetData | None,
        *,
        code: orm.AbstractCode,
        pseudo_family: str | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param candidates: ``None`` if they do not exist yet.
        :param code: pw.x.
        :param pseudo_family: label of the family of pseudopotentials; ``None`` for that of the protocol.
        :param options: ``metadata.options`` of the jobs, laid over those of the protocol.
        """
        values = load_protocol('label_quantumespresso', protocol, overrides)
        relax = values['relax']
        parameters = deepcopy(values['parameters'])
        for name, namelist in relax['parameters'].items():
            parameters[name] = {**parameters.get(name, {}), **namelist}
        builder = cls.get_builder()
        if candidates is not None:
            builder.candidates = candidates
        builder.code = code
        builder.pseudo_family = orm.Str(pseudo_family or values['pseudo_family'])
        builder.single_point = _settings(values, values['parameters'])
        builder.relax = _settings({**values, **relax}, parameters)
        builder.max_concurrent = orm.Int(values['max_concurrent'])
        builder.max_failed_fraction = orm.Float(values['max_failed_fraction'])
        builder.prechecks = orm.Dict(values['prechecks'])
        builder.clean_workdir = orm.Str(values['clean_workdir'])
        builder.escalation = orm.Dict(values['escalation'])
        # A code may insist on MPI, or on doing without.
        of_code = {} if code.with_mpi is None else {'withmpi': code.with_mpi}
        builder.options = orm.Dict({**values['options'], **of_code, **(options or {})})
        if values['parallelization']:
            builder.parallelization = orm.Dict(values['parallelization'])
        return builder

    def screen_candidates(self) -> None:
        """Line up the frames, and look up what they have in common."""
        super().screen_candidates()
        self.ctx.outcomes, self.ctx.outputs, self.ctx.structures = {}, {}, {}
        # By index of a frame: what its next job is given, and how many were lost.
        self.ctx.options, self.ctx.losses = {}, {}
        family = load_family(self.inputs.pseudo_family.value)
        parameters = self.inputs[self.inputs.task.value].parameters.get_dict()
        self.ctx.cutoffs = find_cutoffs(family, self.inputs.candidates.elements, parameters)

    def submit_frame(self, key: str) -> orm.ProcessNode:
        """Submit pw.x for a frame, or for the last structure of its relaxation."""
        index = index_of(key)
        task = self.inputs.task.value
        if CONTINUED in key:
            task = LabelTask.SINGLE_POINT.value
        if key in self.ctx.structures:
            structure = self.ctx.structures[key]
        else:
            row = self.ctx.accepted.frames.known('source').tolist().index(index)
            structure = extract_structure(
                self.ctx.accepted, orm.Int(row), metadata={'call_link_label': f'extract_{index:04d}'}
            )
        inputs = self._pw_inputs(structure, task, self.ctx.options.get(str(index), self._options))
        inputs['metadata'] = {'call_link_label': key}
        return self.submit(load_pw_base(), **inputs)

    @property
    def _options(self) -> dict[str, Any]:
        return self.inputs.options.get_dict() if 'options' in self.inputs else {}

    def _pw_inputs(self, structure: orm.StructureData, task: str, options: dict[str, Any]) -> dict[str, Any]:
        settings, n_atoms = self.inputs[task], len(structure.sites)
        parameters = settings.parameters.get_dict()
        parameters.setdefault('SYSTEM', {}).update(self.ctx.cutoffs)
        parameters.setdefault('ELECTRONS', {}).setdefault('conv_thr', settings.conv_thr_per_atom.value * n_atoms)
        threshold = settings.etot_conv_thr_per_atom.value * n_atoms
        parameters.setdefault('CONTROL', {}).setdefault('etot_conv_thr', threshold)
        pw = {
            'code': self.inputs.code,
            'structure': structure,
            'pseudos': load_family(self.inputs.pseudo_family.value).get_pseudos(structure=structure),
            'parameters': orm.Dict(parameters),
            # Without this the parser complains of every symmetry of a lattice that is only nearly symmetric.
            'settings': orm.Dict({'PARSER_OPTIONS': {'all_symmetries': True}}),
            'metadata': {'options': options},
        }
        if 'parallelization' in self.inputs:
            pw['parallelization'] = self.inputs.parallelization
        return {'pw': pw, 'kpoints_distance': settings.kpoints_distance, 'max_iterations': settings.max_iterations}

    def inspect_frame(self, key: str, process: orm.ProcessNode) -> None:
        """Take note of status, reason and cost; line up the last structure of a relaxation that was not completed."""
        index = str(index_of(key))
        runs = pw_runs(process)
        before = self.ctx.outcomes.get(index, {'steps': 0, 'core_seconds': 0.0, 'reason': ''})
        status, reason = judge(process, runs)
        outcome = {
            'key': key,
            'status': str(status),
            'reason': reason or before['reason'],
            'steps': before['steps'] + sum(count_energies(run) for run in runs),
            'core_seconds': before['core_seconds'] + sum(core_seconds(run) for run in runs),
        }
        self.ctx.outcomes = {**self.ctx.outcomes, index: outcome}
        if status is LabelStatus.OK:
            self._keep_outputs(key, runs[-1])
        elif runs and self._try_again(key, runs[-1]):
            outcome['reason'] = before['reason']
        elif self._can_continue(key, status, runs):
            single_point = f'{key.split(AGAIN)[0]}{CONTINUED}'
            self.ctx.structures[single_point] = runs[-1].outputs.output_structure
            self.ctx.waiting.append(single_point)
        else:
            self.report(f'{key}: {status}: {reason}')

    def _try_again(self, key: str, run: orm.CalcJobNode) -> bool:
        """Line up a frame once more if its last run was lost and may fare better; from its last structure."""
        index, loss = str(index_of(key)), loss_of(run, PW_LOSSES if stopped_silently(run) else OUT_OF_TIME)
        if loss is None:
            return False
        losses = self.ctx.losses.get(index, [])
        of_machine = sum(JobLoss(earlier) in (JobLoss.NODE, JobLoss.SILENT) for earlier in losses)
        options = self.ctx.options.get(index, self._options)
        demand = demand_after(run, options, loss, self.inputs.escalation, of_machine)
        self.report(f'{key}: PwCalculation<{run.pk}>: {demand.sentence}')
        if demand.granted:
            again = f'{key.split(AGAIN)[0]}{AGAIN}{len(losses) + 1}'
            moved = 'output_structure' in run.outputs
            self.ctx.structures[again] = run.outputs.output_structure if moved else run.inputs.structure
            self.ctx.options = {**self.ctx.options, index: demand.options}
            self.ctx.losses = {**self.ctx.losses, index: [*losses, loss.value]}
            self.ctx.waiting.append(again)
        return demand.granted

    def _can_continue(self, key: str, status: LabelStatus, runs: list[orm.CalcJobNode]) -> bool:
        is_relaxation = self.inputs.task.value == LabelTask.RELAX.value and CONTINUED not in key
        return is_relaxation and status is LabelStatus.FAILED and bool(runs) and 'output_structure' in runs[-1].outputs

    def _keep_outputs(self, key: str, run: orm.CalcJobNode) -> None:
        self.ctx.outputs[f'{key}_parameters'] = run.outputs.output_parameters
        self.ctx.outputs[f'{key}_trajectory'] = run.outputs.output_trajectory
        if CONTINUED in key:
            self.ctx.outputs[f'{key}_structure'] = run.inputs.structure
        elif self.inputs.task.value == LabelTask.RELAX.value:
            self.ctx.outputs[f'{key}_structure'] = run.outputs.output_structure

    def collect_labels(self) -> None:
        """Make the labels of all candidates."""
        outcomes = self.ctx.outcomes
        costs = {
            'task': self.inputs.task.value,
            'core_seconds': sum(outcome['core_seconds'] for outcome in outcomes.values()),
            'seconds': (timezone.now() - self.node.ctime).total_seconds(),
        }
        self.ctx.collected = collect_quantumespresso(
            self.ctx.screened,
            orm.Dict({'frames': outcomes, 'costs': costs}),
            **self.ctx.outputs,
            metadata={'call_link_label': 'collect_labels'},
        )


def _settings(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    floats = {key: orm.Float(values[key]) for key in FLOATS}
    return {'parameters': orm.Dict(dict(parameters)), 'max_iterations': orm.Int(values['max_iterations']), **floats}


def pw_runs(process: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """Return the runs of pw.x that a work chain made, in their order."""
    return sorted((node for node in process.called if isinstance(node, orm.CalcJobNode)), key=lambda node: node.ctime)


def stopped_silently(run: orm.CalcJobNode) -> bool:
    """Tell whether pw.x did not stop by itself; when it does so with an error it writes a file of that name."""
    return 'retrieved' in run.outputs and 'CRASH' not in run.outputs.retrieved.base.repository.list_object_names()


def judge(process: orm.ProcessNode, runs: list[orm.CalcJobNode]) -> tuple[LabelStatus, str]:
    """Return the status of a frame and the reason for it."""
    if process.is_finished_ok:
        return LabelStatus.OK, ''
    if process.exit_status is None:
        return LabelStatus.FAILED, f'PwBaseWorkChain<{process.pk}> was {process.process_state.value}'
    if process.exit_status == CONVERGED_EXCEPT_IN_FINAL_SCF:
        return LabelStatus.OK, 'the thresholds of the relaxation are exceeded with the plane waves of the final cell'
    last = runs[-1] if runs else None
    cause = f'{process.exit_message} (exit status {process.exit_status})'
    if last is not None and last.exit_status:
        cause = f'{last.exit_message} (exit status {last.exit_status} of run {len(runs)})'
    unconverged = last is not None and last.exit_status in NOT_SELF_CONSISTENT
    return (LabelStatus.UNCONVERGED if unconverged else LabelStatus.FAILED), cause


def count_energies(run: orm.CalcJobNode) -> int:
    """Return how many energies a run computed."""
    if 'output_trajectory' not in run.outputs or 'energy' not in run.outputs.output_trajectory.get_arraynames():
        return 0
    return int(run.outputs.output_trajectory.get_shape('energy')[0])


def core_seconds(run: orm.CalcJobNode) -> float:
    """Return wall time by number of processes; nothing if the result came from the cache."""
    if run.base.caching.is_created_from_cache or 'output_parameters' not in run.outputs:
        return 0.0
    resources = run.get_option('resources') or {}
    per_machine = resources.get('num_mpiprocs_per_machine', 1)
    processes = resources.get('tot_num_mpiprocs') or resources.get('num_machines', 1) * per_machine
    return float(run.outputs.output_parameters.get('wall_time_seconds', 0.0) or 0.0) * processes
