"""Labels from Quantum ESPRESSO, many small frames in one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from hashlib import md5
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec

from aiida_prospect.common.enums import LabelTask
from aiida_prospect.common.units import ANGSTROM_PER_BOHR, EV_PER_ANGSTROM3_PER_KBAR, EV_PER_RYDBERG
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.pw_calculator import check_parameters
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.workflows.label.calculator import CalculatorLabelWorkChain, fill_bundles
from aiida_prospect.workflows.label.pw_keywords import check_keywords
from aiida_prospect.workflows.label.quantumespresso import MOVING, find_cutoffs, load_family
from aiida_prospect.workflows.protocols import load_protocol, merge

CALCULATOR = 'pw'
# The frames of a batch are all computed before the job looks at the clock, or writes what is needed to go on.
ONE_AT_A_TIME = {'batch_atoms': 1}


class QuantumEspressoBundleLabelWorkChain(CalculatorLabelWorkChain):
    """Label with pw.x, many frames one after the other in a job that is continued if it runs out of wall time.

    The numbers are those of ``prospect.label.quantumespresso``. Relaxations are done by the relaxer of this package
    on energies from pw.x: each step is a new run, and the mesh of k-points follows the cell.
    """

    FAMILY = 'pseudo_family'

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond a potential."""
        super().define(spec)
        spec.input(
            'potential_relax',
            valid_type=PotentialData,
            required=False,
            help='The reference method for the task `relax`, if it is another one.',
        )

    @classmethod
    def get_builder_from_protocol(  # type: ignore[override]  # each labelling has keywords of its own
        cls,
        candidates: DatasetData | None,
        *,
        code: orm.AbstractCode,
        command: str = 'pw.x',
        pseudo_family: str | None = None,
        elements: Sequence[str] | None = None,
        relaxer: Mapping[str, Any] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of the protocol of ``prospect.label.quantumespresso``.

        :param candidates: ``None`` if they do not exist yet; then ``elements`` must be given.
        :param code: Python interpreter of the compute side.
        :param command: that starts pw.x there, ``mpirun -np 4 pw.x``; the processors are asked for in ``options``.
        :param pseudo_family: label of the family of pseudopotentials; ``None`` for that of the protocol.
        :param elements: of all candidates, of which the cut-offs are the largest.
        :param relaxer: fields of :class:`~aiida_prospect.methods.relaxation.settings.RelaxSettings`.
        :param options: ``metadata.options`` of the jobs, laid over those of the protocol.
        :raises ValueError: if there is no such family or it lacks an element or its cut-offs.
        """
        values = load_protocol('label_quantumespresso', protocol, overrides)
        if not elements:
            if candidates is None:
                raise ValueError('without candidates give `elements`, of which the pseudopotentials and cut-offs are')
            elements = candidates.elements
        family = load_family(pseudo_family or values['pseudo_family'])
        relaxed = merge(values, values['relax'])
        settings = {**_relaxer(protocol, relaxed), **(relaxer or {})}
        RelaxSettings.from_dict(settings)
        flags = [f'-{name} {value}' for name, value in values['parallelization'].items()]
        common = (family, sorted(elements), ' '.join([command, *flags]))
        builder = cls.get_builder()
        if candidates is not None:
            builder.candidates = candidates
        builder.code = code
        builder.potential = make_potential(*common, values)
        builder.potential_relax = make_potential(*common, relaxed)
        builder.relax = orm.Dict(settings)
        builder.max_failed_fraction = orm.Float(values['max_failed_fraction'])
        builder.prechecks = orm.Dict(values['prechecks'])
        builder.clean_workdir = orm.Str(values['clean_workdir'])
        builder.escalation = orm.Dict(values['escalation'])
        fill_bundles(builder, values)
        # It is the command, not the scheduler, that starts several processes.
        builder.options = orm.Dict({**values['options'], 'withmpi': False, **(options or {})})
        return builder

    @classmethod
    def method_of(cls, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return with what pw.x was run.

        :raises ValueError: if no family has the pseudopotentials any more.
        """
        potential = inputs['potential']
        command = potential.base.attributes.get('arguments')['command']
        own = {'command': command, 'pseudo_family': find_family(potential), 'elements': potential.type_map}
        return {'code': inputs['code'], **own}

    @property
    def potential(self) -> PotentialData:
        """The potential for the task."""
        if self.inputs.task.value == LabelTask.RELAX.value and 'potential_relax' in self.inputs:
            return self.inputs.potential_relax
        return self.inputs.potential


def find_family(potential: PotentialData) -> str:
    """Return the label of a family with the pseudopotentials of a potential.

    :raises ValueError: if there is none.
    """
    names = potential.base.attributes.get('arguments')['pseudopotentials']
    files = {element: potential.base.repository.get_object_content(name, 'rb') for element, name in names.items()}
    wanted = {element: md5(content).hexdigest() for element, content in files.items()}
    families = orm.QueryBuilder().append(orm.Group, filters={'type_string': {'like': 'pseudo.family%'}})
    for family in families.all(flat=True):
        if all(element in family.elements and family.get_pseudo(element).md5 == wanted[element] for element in wanted):
            return str(family.label)
    raise ValueError(
        'no family of pseudopotentials has those that the labels were made with; install it again with `aiida-pseudo`'
    )


def make_potential(family: Any, elements: Sequence[str], command: str, values: Mapping[str, Any]) -> PotentialData:
    """Return pw.x with pseudopotentials as a potential.

    :param values: of the protocol.
    :raises ValueError: if the family lacks an element or its cut-offs, or a parameter cannot be used.
    """
    parameters = {name: dict(namelist) for name, namelist in values['parameters'].items() if name.upper() not in MOVING}
    parameters.setdefault('SYSTEM', {}).update(find_cutoffs(family, tuple(elements), parameters))
    check_keywords(parameters)
    check_parameters(parameters)
    names = {element: f'{element}.upf' for element in elements}
    arguments = {
        'command': command,
        'parameters': parameters,
        'pseudopotentials': names,
        'kpoints_distance': values['kpoints_distance'],
        'conv_thr_per_atom': values['conv_thr_per_atom'],
    }
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(family.get_pseudo(element).open(mode='rb')) for element, name in names.items()
        }
        return PotentialData.from_calculator(CALCULATOR, arguments, elements, files=files)


def _relaxer(protocol: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of ``RelaxSettings``: with the thresholds and the pressure that pw.x would be given."""
    settings = load_protocol('label_calculator', protocol)['relax']
    parameters = values['parameters']
    fmax = parameters['CONTROL']['forc_conv_thr'] * EV_PER_RYDBERG / ANGSTROM_PER_BOHR
    pressure = parameters['CELL'].get('press', 0.0) * EV_PER_ANGSTROM3_PER_KBAR
    return {**settings, **ONE_AT_A_TIME, 'fmax': fmax, 'pressure': pressure}
