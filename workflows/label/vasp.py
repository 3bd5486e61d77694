"""Labels from VASP, by way of the plugin aiida-vasp."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import pi
from typing import Any, ClassVar

from aiida import orm
from aiida.common import exceptions
from aiida.engine import ProcessBuilder, ProcessSpec
from aiida.plugins import WorkflowFactory

from aiida_prospect.calculations.functions.collect_vasp import collect_vasp
from aiida_prospect.calculations.streams import read_stream
from aiida_prospect.common.enums import LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels_vasp import incar_settings
from aiida_prospect.workflows.label.costs import RunCost
from aiida_prospect.workflows.label.plugin import PluginLabelWorkChain
from aiida_prospect.workflows.label.potcars import find_potcars, largest_enmax

# What the plugin reads of a run. A file that a run which was killed did not write is no error of the parser.
PARSER = {'energy_type': ['energy_free', 'energy_extrapolated'], 'check_completeness': False}
# Of a run that was cut short the plugin would only try the same once more, or with a slower mixing of the density; so
# it is given back before the handlers that do so (910 to 800), and gets more of what it lacked.
HANDLERS = {'check_calc_is_finished': {'enabled': True, 'priority': 950}}
AT_REST = {'ibrion': -1, 'nsw': 0, 'isif': 2}
# Tags that belong to the work chain, and what to give instead.
RESERVED = {
    'magmom': 'moments belong to elements, as the atoms differ from frame to frame: give `magmom_mapping`',
    'kspacing': 'give `kpoints_distance`',
    'kgamma': 'all meshes of k-points contain Γ',
    'system': 'it belongs to the plugin',
    'ldauu': 'give `ldau_mapping`',
    'ldaul': 'give `ldau_mapping`',
    'ldauj': 'give `ldau_mapping`',
}
# How VASP says that it gives up. What the scheduler, mpirun or srun say when they end a job is in other words.
COMPLAINT = re.compile(r'internal error|\bERROR\b|\bError\b|VERY BAD NEWS|REFUSE TO CONTINUE|LAPACK|ZBRENT: fatal')


def load_vasp() -> Any:
    """Return the work chain that runs VASP.

    :raises ModuleNotFoundError: if aiida-vasp is not installed.
    """
    try:
        return WorkflowFactory('vasp.v2.vasp')
    except exceptions.EntryPointError as exception:
        raise ModuleNotFoundError('labels from VASP need aiida-vasp: pip install "aiida-prospect[vasp]"') from exception


def check_incar(parameters: Mapping[str, Any], candidates: DatasetData) -> None:
    """Refuse tags that aiida-vasp does not know, that belong to others, or that mean something else for each frame.

    :raises ValueError: with what to give instead.
    """
    for tag, advice in RESERVED.items():
        if tag in parameters:
            raise ValueError(f'`{tag}` cannot be given: {advice}')
    if 'nelect' in parameters and len(set(candidates.frames.formulas)) > 1:
        raise ValueError('`nelect` is one number of electrons, but the candidates have several compositions')
    try:
        refusal = load_vasp().spec().inputs['parameters'].validate(orm.Dict({'incar': dict(parameters)}))
    except exceptions.InputValidationError as exception:
        raise ValueError(f'aiida-vasp refuses the parameters: {exception}') from exception
    if refusal is not None:
        raise ValueError(f'aiida-vasp refuses the parameters: {refusal.message}')


class VaspLabelWorkChain(PluginLabelWorkChain):
    """Label with VASP, each frame in a ``VaspWorkChain``.

    The energy is the free energy of the smeared electrons, whose derivatives forces and stress are. A relaxation keeps
    the plane waves and the k-points of the cell that it began with, so its final cell gets a single point.
    """

    PLUGIN = 'vasp.vasp'
    FAMILY = 'potential_family'
    PROTOCOL = 'label_vasp'
    FLOATS: ClassVar[Mapping[str, str]] = {
        'ediff_per_atom': 'eV.',
        'encut_factor': 'Cut-off over the largest ENMAX, unless `encut` is given.',
    }
    STRUCTURE = 'structure'
    NOT_SELF_CONSISTENT = (701,)
    # Nothing started; files are missing, cut short or without what tells how the run ended.
    INCOMPLETE = (333, 352, 700, 704, 1002)

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond the contract."""
        super().define(spec)
        mapping: dict[str, Any] = {'valid_type': orm.Dict, 'serializer': orm.to_aiida_type}
        spec.input('potential_mapping', help='Names of POTCARs by element.', **mapping)
        spec.input('magmom_mapping', required=False, help='Initial moments by element, μB.', **mapping)
        spec.input('ldau_mapping', required=False, help='Hubbard corrections, as aiida-vasp takes them.', **mapping)

    @classmethod
    def check_method(cls, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Refuse to go without plugin and POTCARs, and with tags that make no sense.

        :raises ModuleNotFoundError: if the plugin is not installed.
        :raises ValueError: if POTCARs are missing, or parameters make no sense.
        """
        cls.process_class()
        check_incar(parameters, inputs['candidates'])
        if 'magmom_mapping' in inputs and parameters.get('ispin', 1) != 2:
            raise ValueError('`magmom_mapping` has no effect without `ispin: 2` in `parameters`')
        mapping = inputs['potential_mapping'].get_dict() if 'potential_mapping' in inputs else {}
        find_encut(inputs[cls.FAMILY].value, inputs['candidates'].elements, mapping, parameters, 1.0)

    @classmethod
    def get_builder_from_protocol(
        cls,
        candidates: DatasetData | None,
        *,
        code: orm.AbstractCode,
        potential_family: str | None = None,
        potential_mapping: Mapping[str, str] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param candidates: ``None`` if they do not exist yet.
        :param code: VASP.
        :param potential_family: label of the family of POTCARs; ``None`` for that of the protocol.
        :param potential_mapping: names of POTCARs by element, laid over those of the protocol.
        :param options: ``metadata.options`` of the jobs, laid over those of the protocol.
        """
        builder, values = cls.build(candidates, code, potential_family, protocol, overrides, options)
        proposed = load_vasp().get_protocol_inputs().get('potential_mapping', {})
        builder.potential_mapping = orm.Dict({**proposed, **values['potential_mapping'], **(potential_mapping or {})})
        for name in ('magmom_mapping', 'ldau_mapping'):
            if values[name]:
                builder[name] = orm.Dict(values[name])
        return builder

    @classmethod
    def _settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        tags = {str(tag).lower(): value for tag, value in values['parameters'].items()}
        return super()._settings({**values, 'parameters': tags})

    @classmethod
    def process_class(cls) -> Any:
        """Return the work chain that runs VASP."""
        return load_vasp()

    @classmethod
    def settings_of(cls, inputs: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
        """Return what INCAR and POTCAR will say."""
        settings, mapping = inputs[LabelTask.SINGLE_POINT.value], inputs['potential_mapping'].get_dict()
        tags, family = settings['parameters'].get_dict(), inputs[cls.FAMILY].value
        encut = find_encut(family, tuple(elements), mapping, tags, settings['encut_factor'].value)
        hubbard = inputs['ldau_mapping'].get_dict().get('mapping', {}) if 'ldau_mapping' in inputs else {}
        ldau = {'ldau': bool(hubbard), 'ldauu': [values[1] for values in hubbard.values()]}
        titles = {element: potcar.title for element, potcar in find_potcars(family, elements, mapping).items()}
        distance = settings['kpoints_distance'].value
        told = incar_settings({**tags, **ldau, 'encut': encut}, titles, list(hubbard))
        return {**told, 'kpoints_distance': [distance, distance]}

    def screen_candidates(self) -> None:
        """Line up the frames, and look up what they have in common."""
        super().screen_candidates()
        settings = self.inputs[self.inputs.task.value]
        self.ctx.encut = find_encut(
            self.inputs.potential_family.value,
            self.inputs.candidates.elements,
            self.inputs.potential_mapping.get_dict(),
            settings.parameters.get_dict(),
            settings.encut_factor.value,
        )

    def frame_inputs(
        self, structure: orm.StructureData, settings: Any, parameters: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs of ``VaspWorkChain``."""
        parameters.setdefault('encut', self.ctx.encut)
        parameters.setdefault('ediff', settings.ediff_per_atom.value * len(structure.sites))
        mapping = self.inputs.potential_mapping.get_dict()
        others = {name: self.inputs[name] for name in ('magmom_mapping', 'ldau_mapping') if name in self.inputs}
        return {
            'code': self.inputs.code,
            'structure': structure,
            'parameters': orm.Dict({'incar': parameters}),
            'potential_family': self.inputs.potential_family,
            'potential_mapping': {name: mapping.get(name, name) for name in structure.get_kind_names()},
            # The plugin counts without 2π.
            'kpoints_spacing': orm.Float(settings.kpoints_distance.value / (2 * pi)),
            'max_iterations': settings.max_iterations,
            'settings': orm.Dict({'parser_settings': PARSER}),
            'handler_overrides': orm.Dict(HANDLERS),
            # The folders are removed by this work chain, as its policy says.
            'clean_workdir': orm.Bool(False),
            'calc': {'metadata': {'options': options}},
            **others,
        }

    def at_rest(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a single point that goes with a relaxation."""
        return {**{tag: value for tag, value in parameters.items() if tag != 'ediffg'}, **AT_REST}

    def needs_single_point(self, run: orm.CalcJobNode) -> bool:
        """Tell that the plane waves of a relaxation are those of the cell that it began with."""
        return True

    def outputs_of(self, run: orm.CalcJobNode) -> dict[str, orm.Data]:
        """Return what the labels are made of."""
        return {'misc': run.outputs.misc}

    def collect(self, screened: DatasetData, outcomes: orm.Dict, **outputs: Any) -> Mapping[str, orm.Data]:
        """Call the calculation function that makes labels of outputs of VASP."""
        labels: Mapping[str, orm.Data] = collect_vasp(screened, outcomes, **outputs)
        return labels

    def cost_of(self, run: orm.CalcJobNode) -> RunCost:
        """Return what a run took; memory is the most that the first process had."""
        if 'misc' not in run.outputs:
            return RunCost()
        told = run.outputs.misc.get_dict()
        stats = told.get('run_stats', {})
        energies = (told.get('run_status', {}).get('last_iteration_index') or [0])[0]
        memory = stats.get('maximum_memory_used')
        return RunCost(energies, stats.get('elapsed_time'), None if memory is None else memory / 1e3)

    def complaint_of(self, run: orm.CalcJobNode) -> str:
        """Return the line in which VASP says that it gives up."""
        said = read_stream(run.get_retrieved_node(), run.process_class._VASP_OUTPUT) or ''
        return next((line.strip(' |') for line in said.splitlines() if COMPLAINT.search(line)), '')


def find_encut(
    family: str,
    elements: tuple[str, ...],
    mapping: Mapping[str, str],
    parameters: Mapping[str, Any],
    factor: float,
) -> float:
    """Return the cut-off in eV, the same for all structures of these elements.

    :raises ValueError: if a POTCAR is missing or does not tell its own.
    """
    potcars = find_potcars(family, elements, mapping)
    return float(parameters['encut']) if 'encut' in parameters else round(factor * largest_enmax(potcars), 3)
