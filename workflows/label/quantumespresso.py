"""Labels from Quantum ESPRESSO, by way of the plugin aiida-quantumespresso."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiida import orm
from aiida.common import exceptions
from aiida.engine import ProcessBuilder, ProcessSpec
from aiida.plugins import WorkflowFactory

from aiida_prospect.calculations.functions.collect_quantumespresso import collect_quantumespresso
from aiida_prospect.calculations.streams import read_stream
from aiida_prospect.common.enums import LabelStatus, LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels_quantumespresso import input_settings
from aiida_prospect.workflows.label.costs import RunCost
from aiida_prospect.workflows.label.plugin import PluginLabelWorkChain, mesh_of
from aiida_prospect.workflows.label.pw_keywords import check_keywords

PLUGIN = 'quantumespresso.pw'
CONVERGED_EXCEPT_IN_FINAL_SCF = 501
# Namelists of a relaxation; those without which nothing moves.
MOVING = ('IONS', 'CELL')
MEGABYTES = {'mb': 1.0, 'gb': 1e3}


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


def check_spin(parameters: Mapping[str, Any]) -> None:
    """Refuse spins that pw.x would refuse, or would leave at zero.

    :raises ValueError: with what to give.
    """
    system = parameters.get('SYSTEM', {})
    given = [key for key in system if key.startswith(('starting_magnetization', 'tot_magnetization'))]
    if system.get('nspin') == 2 and not given:
        raise ValueError(
            '`nspin` is 2, but all atoms start without a moment, and so they would end: give '
            '`starting_magnetization: {Fe: 0.5}` or `tot_magnetization` in `parameters.SYSTEM`'
        )
    if given and system.get('nspin', 1) == 1 and not system.get('noncolin'):
        raise ValueError(f'`{given[0]}` without `nspin: 2` in `parameters.SYSTEM` has no effect')


def check_forces(parameters: Mapping[str, Any]) -> None:
    """Refuse runs that give no forces; the stress may be left out.

    :raises ValueError: with what to do.
    """
    control = [namelist for name, namelist in parameters.items() if name.upper() == 'CONTROL']
    if any(key.lower() == 'tprnfor' and not value for namelist in control for key, value in namelist.items()):
        raise ValueError('labels are made of energies and forces: `tprnfor` in `parameters.CONTROL` must be true')


class QuantumEspressoLabelWorkChain(PluginLabelWorkChain):
    """Label with pw.x, each frame in a ``PwBaseWorkChain``.

    The energy is the free energy of the smeared electrons, whose derivatives forces and stress are.
    """

    PLUGIN = PLUGIN
    FAMILY = 'pseudo_family'
    PROTOCOL = 'label_quantumespresso'
    FLOATS: ClassVar[Mapping[str, str]] = {'conv_thr_per_atom': 'Ry.', 'etot_conv_thr_per_atom': 'Ry; for relaxations.'}
    STRUCTURE = 'output_structure'
    # No self-consistency, at all or in a step of a relaxation.
    NOT_SELF_CONSISTENT = (410, 510, 511, 710)
    # The plugin restarts runs of pw.x that stopped in time, some times; then it gives them up.
    OUT_OF_TIME = (340, 400)
    # What pw.x prints, or its XML file, is missing, cannot be read or is cut short.
    INCOMPLETE = (302, 303, 305, 310, 311, 312, 320, 321)

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond the contract."""
        super().define(spec)
        spec.input(
            'parallelization',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            help='For example `{npool: 2}`.',
        )

    @classmethod
    def check_method(cls, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Refuse to go without plugin, pseudopotentials or cut-offs.

        :raises ModuleNotFoundError: if the plugin is not installed.
        :raises ValueError: if pseudopotentials are missing, or parameters make no sense.
        """
        cls.process_class()
        check_keywords(parameters)
        check_forces(parameters)
        check_spin(parameters)
        find_cutoffs(load_family(inputs[cls.FAMILY].value), inputs['candidates'].elements, parameters)

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
        builder, values = cls.build(candidates, code, pseudo_family, protocol, overrides, options)
        if values['parallelization']:
            builder.parallelization = orm.Dict(values['parallelization'])
        return builder

    @classmethod
    def process_class(cls) -> Any:
        """Return the work chain that runs pw.x."""
        return load_pw_base()

    @classmethod
    def settings_of(cls, inputs: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
        """Return what the input of pw.x will say."""
        family, settings = load_family(inputs['pseudo_family'].value), inputs[LabelTask.SINGLE_POINT.value]
        parameters = settings['parameters'].get_dict()
        system = {**parameters.get('SYSTEM', {}), **find_cutoffs(family, tuple(elements), parameters)}
        distance = settings['kpoints_distance'].value
        pseudos = {element: pseudo.md5 for element, pseudo in family.get_pseudos(elements=tuple(elements)).items()}
        return {**input_settings(system, pseudos), 'kpoints_distance': [distance, distance]}

    def screen_candidates(self) -> None:
        """Line up the frames, and look up what they have in common."""
        super().screen_candidates()
        family = load_family(self.inputs.pseudo_family.value)
        parameters = self.inputs[self.inputs.task.value].parameters.get_dict()
        self.ctx.cutoffs = find_cutoffs(family, self.inputs.candidates.elements, parameters)

    def frame_inputs(
        self, structure: orm.StructureData, settings: Any, parameters: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs of ``PwBaseWorkChain``."""
        n_atoms = len(structure.sites)
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

    def at_rest(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a single point that goes with a relaxation."""
        control = {**parameters.get('CONTROL', {}), 'calculation': 'scf'}
        return {**{name: value for name, value in parameters.items() if name not in MOVING}, 'CONTROL': control}

    def needs_single_point(self, run: orm.CalcJobNode) -> bool:
        """Tell whether the final cell asks for other k-points than the relaxation had.

        The plane waves are those of the final cell: pw.x computes the last energy once more.
        """
        distance = self.inputs.relax.kpoints_distance.value
        mesh: list[int] = run.inputs.kpoints.get_kpoints_mesh()[0]
        return mesh != mesh_of(run.outputs.output_structure, distance)

    def outputs_of(self, run: orm.CalcJobNode) -> dict[str, orm.Data]:
        """Return what the labels are made of."""
        return {'parameters': run.outputs.output_parameters, 'trajectory': run.outputs.output_trajectory}

    def collect(self, screened: DatasetData, outcomes: orm.Dict, **outputs: Any) -> Mapping[str, orm.Data]:
        """Call the calculation function that makes labels of outputs of pw.x."""
        labels: Mapping[str, orm.Data] = collect_quantumespresso(screened, outcomes, **outputs)
        return labels

    def cost_of(self, run: orm.CalcJobNode) -> RunCost:
        """Return what a run took; memory is what pw.x estimates for all processes."""
        if 'output_parameters' not in run.outputs:
            return RunCost()
        energies, told = 0, run.outputs.output_parameters.get_dict()
        if 'output_trajectory' in run.outputs and 'energy' in run.outputs.output_trajectory.get_arraynames():
            energies = int(run.outputs.output_trajectory.get_shape('energy')[0])
        # Of a single process pw.x tells no sum.
        name = 'estimated_ram_total' if 'estimated_ram_total' in told else 'estimated_ram_per_process'
        unit = str(told.get(f'{name}_units', '')).lower()
        memory = told[name] * MEGABYTES[unit] if unit in MEGABYTES else None
        return RunCost(energies, told.get('wall_time_seconds'), memory)

    def complaint_of(self, run: orm.CalcJobNode) -> str:
        """Return what pw.x wrote into the file that it writes when it gives up."""
        crash = read_stream(run.get_retrieved_node(), 'CRASH')
        if crash is None:
            return ''
        lines = [line.strip() for line in crash.splitlines()]
        return ' '.join(dict.fromkeys(line for line in lines if line and not line.startswith('%'))) or 'pw.x gave up'

    def judge(self, process: orm.ProcessNode, runs: list[orm.CalcJobNode]) -> tuple[LabelStatus, str]:
        """Return the status of a frame and the reason for it."""
        if process.exit_status == CONVERGED_EXCEPT_IN_FINAL_SCF:
            reason = 'the thresholds of the relaxation are exceeded with the plane waves of the final cell'
            return LabelStatus.OK, reason
        return super().judge(process, runs)
