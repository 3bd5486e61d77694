"""How the inputs of a search are made from a protocol, and checked before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiida import orm
from aiida.common import exceptions
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names
from ase import Atoms

from aiida_prospect.common.enums import LabelTask
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.budget import validate_budget
from aiida_prospect.methods.initial_labels import check_elements
from aiida_prospect.methods.labels import count_labels, count_usable
from aiida_prospect.methods.pool.composition import check_composition, parse_composition
from aiida_prospect.workflows.protocols import ProtocolError, load_protocol, merge
from aiida_prospect.workflows.provenance.cycles import load_cycles
from aiida_prospect.workflows.search_checks import check_folders, check_pool, check_references, check_steps

if TYPE_CHECKING:
    from aiida_prospect.workflows.search import SearchWorkChain

CYCLE = 'cycle_'
BEFORE = 'before_{:02d}'
LABEL_PREFIX = 'prospect.label.'
TRAIN_PREFIX = 'prospect.train.'
SECTIONS = ('search', 'pool', 'selection', 'label', 'train', 'explore')


def workflow_names(prefix: str) -> list[str]:
    """Return the installed work chains whose entry points begin so, without that prefix."""
    names = get_entry_point_names('aiida.workflows')
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def label_names() -> list[str]:
    """Return the names of all labelling work chains, as the command line calls them."""
    return workflow_names(LABEL_PREFIX)


def check_label_name(name: str) -> None:
    """Refuse a labelling that is not installed.

    :raises ValueError: with those that are.
    """
    if name not in label_names():
        raise ValueError(f'no labelling is called `{name}`; choose one of: {", ".join(label_names())}')


def force_field_names() -> list[str]:
    """Return the names of all work chains that train a force field, as the command line calls them."""
    return [name for name in workflow_names(TRAIN_PREFIX) if name != 'ensemble']


def own_labels(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels of the cycles, without those that were there before."""
    return {name: node for name, node in labels.items() if name.startswith(CYCLE)}


def count_own_labels(labels: Mapping[str, Any]) -> int:
    """Return how many labels count for the budget."""
    return sum(count_labels(node.frames) for node in own_labels(labels).values())


def is_of_no_use(labels: DatasetData) -> bool:
    """Tell whether the reference method was asked for labels and gave none; what is rejected it is not asked for."""
    return count_labels(labels.frames) > 0 and not count_usable(labels.frames)


def validate(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse limits or a strategy that mean nothing, and inputs that the labelling itself would refuse."""
    try:
        check_budget(inputs)
        workflow = WorkflowFactory(inputs['label_workflow'].value)
        composition = check_composition(inputs['pool']['parameters']['composition'])
        check_pool(inputs['pool'])
        check_restart(inputs.get('restart', {}), composition)
        check_steps(inputs['parameters'], count_given(inputs.get('restart', {})))
        check_references(inputs.get('references', {}))
        check_pressure(inputs)
        check_folders(inputs.get('label', {}))
    except KeyError as error:
        return f'{error} is missing; make the inputs with `get_builder_from_protocol`'
    except (TypeError, ValueError, exceptions.EntryPointError) as error:
        return str(error)
    given = {**inputs.get('label', {}), 'candidates': DatasetData(_example(composition))}
    for task in LabelTask:
        refusal = workflow.spec().inputs.validate({**given, 'task': orm.Str(task.value)})
        if refusal:
            return f'the labelling refuses its inputs: {refusal.message}'
    return None


def count_given(restart: Mapping[str, Any]) -> int:
    """Return how many usable labels a search begins with."""
    return sum(count_usable(labels.frames) for labels in restart.get('labels', {}).values())


def check_budget(inputs: Mapping[str, Any]) -> None:
    """Check the limits of a search, also against what the search that it takes up has spent.

    :raises ValueError: if a limit means nothing or allows no cycle.
    """
    budget = inputs['budget'].get_dict()
    validate_budget(budget)
    least, restart = inputs['parameters']['min_usable'], inputs.get('restart', {})
    made = count_own_labels(restart.get('labels', {}))
    cycles = restart['cycle'].value if 'cycle' in restart else 0
    if budget.get('max_labels') is not None and budget['max_labels'] < max(least, made + 1):
        spent = f'; the search that is taken up has {made}' if made else ''
        raise ValueError(
            f'`max_labels` is {budget["max_labels"]}, a search needs at least {max(least, made + 1)}{spent}'
        )
    if budget.get('max_cycles') is not None and budget['max_cycles'] <= cycles:
        raise ValueError(
            f'`max_cycles` is {budget["max_cycles"]}, but {cycles} cycles have been run: give a larger one'
        )


def check_restart(restart: Mapping[str, Any], composition: Mapping[str, int]) -> None:
    """Refuse labels and potentials to begin with that are about something else.

    :raises ValueError: with what does not fit.
    """
    for name, node in restart.get('labels', {}).items():
        if not name.startswith(CYCLE) and name >= CYCLE:
            raise ValueError(f'labels `{name}` must have a name that sorts before `{CYCLE}`')
        missing = sorted({'energy', 'forces', 'status'} - set(node.known))
        if missing:
            raise ValueError(f'the labels `{name}` have no {", ".join(missing)}')
        try:
            check_elements(node.frames, composition)
        except ValueError as error:
            raise ValueError(f'the labels `{name}` do not fit: {error}') from error
    for name, potential in restart.get('potentials', {}).items():
        foreign = sorted(set(composition) - set(potential.type_map))
        if foreign:
            raise ValueError(
                f'the potential `{name}` to start from knows {", ".join(potential.type_map)}, not {", ".join(foreign)}'
            )


def check_pressure(inputs: Mapping[str, Any]) -> None:
    """Refuse a pressure: minima are compared by their energies.

    :raises ValueError: with the name of the parameter.
    """
    relax = inputs.get('label', {}).get('relax', {})
    final = relax.get_dict() if isinstance(relax, orm.Dict) else relax.get('parameters', {})
    asked = {
        'explore.parameters.pressure': inputs['explore']['parameters'].get('pressure', 0.0),
        'label.relax.pressure': final.get('pressure', 0.0),
        'label.relax.parameters.CELL.press': final.get('CELL', {}).get('press', 0.0),
        'label.relax.parameters.pstress': final.get('pstress', 0.0),
    }
    for name, value in asked.items():
        if value:
            raise ValueError(
                f'`{name}` is {value}: a search compares minima by energy, so it can be made at zero pressure only'
            )


def _example(composition: Mapping[str, int]) -> Frames:
    """Return a frame with the elements that will be labelled."""
    symbols = [symbol for symbol, count in composition.items() for _ in range(count)]
    spacing = 3.0
    positions = [(spacing * index, 0.0, 0.0) for index in range(len(symbols))]
    cell = [spacing * len(symbols), spacing, spacing]
    return Frames.from_atoms([Atoms(symbols, positions=positions, cell=cell, pbc=True)])


def needs_of_force_field(protocol: str | None, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a search needs that trains the force field that was chosen, beyond the protocols.

    :raises ValueError: if there is no such force field or protocol.
    """
    chosen = load_protocol('train_ensemble', protocol, changes.get('train'))['force_field']
    if chosen not in force_field_names():
        raise ValueError(f'no force field is called `{chosen}`; choose one of: {", ".join(force_field_names())}')
    needs: dict[str, Any] = load_protocol('search', protocol, changes.get('search'))['force_fields']
    return dict(needs.get(chosen, {}))


def get_builder_from_protocol(
    cls: type[SearchWorkChain],
    composition: Mapping[str, int] | str,
    *,
    code: orm.AbstractCode,
    train_code: orm.AbstractCode | None = None,
    labels: str = 'calculator',
    label_options: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 1,
    structures: Mapping[str, Any] | None = None,
    references: Mapping[str, orm.StructureData] | None = None,
    options: Mapping[str, Any] | None = None,
) -> ProcessBuilder:
    """Return a builder with all inputs of a search.

    :param composition: content of one cell, ``{'Si': 8}`` or ``'Si8'``.
    :param code: Python interpreter with DeePMD-kit, for training and relaxation.
    :param train_code: another one for training, perhaps on another computer.
    :param labels: name of a labelling work chain, see :func:`label_names`.
    :param label_options: keywords of its ``get_builder_from_protocol``.
    :param protocol: ``fast``, ``balanced`` or ``stringent``.
    :param overrides: values laid over the protocols, for each of :data:`SECTIONS` those of its file.
    :param structures: added to the pool, :class:`~aiida.orm.StructureData` or datasets.
    :param references: known structures that the minima are compared with.
    :param options: ``metadata.options`` of training and relaxation jobs.
    :raises ValueError: if there is no such labelling, protocol or value.
    """
    changes = dict(overrides or {})
    unknown = sorted(set(changes) - set(SECTIONS))
    if unknown:
        raise ProtocolError(f'overrides have no section {", ".join(unknown)}; sections are: {", ".join(SECTIONS)}')
    check_label_name(labels)
    check_folders(changes.get('label') or {})
    changes = merge(needs_of_force_field(protocol, changes), changes)
    search = load_protocol('search', protocol, changes.get('search'))
    selection = load_protocol('selection', protocol, changes.get('selection'))
    pool = load_protocol('pool', protocol, changes.get('pool'))
    workflow = WorkflowFactory(f'{LABEL_PREFIX}{labels}')
    label = workflow.get_builder_from_protocol(
        None, protocol=protocol, overrides=changes.get('label'), **(label_options or {})
    )
    builder = cls.get_builder()
    content = parse_composition(composition) if isinstance(composition, str) else check_composition(composition)
    builder.pool.parameters = orm.Dict({**pool, 'composition': content, 'seed': seed})
    builder.pool.structures = dict(structures or {})
    builder.label_workflow = orm.Str(f'{LABEL_PREFIX}{labels}')
    # That of the protocol is for labels without a search, see `check_folders`.
    builder.label = {key: value for key, value in label._inputs(prune=True).items() if key != 'clean_workdir'}
    train = WorkflowFactory('prospect.train.ensemble').get_builder_from_protocol(
        train_code or code, protocol=protocol, overrides=changes.get('train'), options=options
    )
    builder.train = train._inputs(prune=True)
    explore = dict(changes.get('explore', {}))
    explore['options'] = {**(explore.get('options') or {}), **(options or {})}
    WorkflowFactory('prospect.explore').fill_from_protocol(builder.explore, code, protocol=protocol, overrides=explore)
    builder.parameters = orm.Dict(
        {
            **{key: selection[key] for key in ('clusters', 'selection', 'convergence')},
            **{key: search[key] for key in ('min_usable', 'hole_depth', 'refill', 'final', 'ranking')},
        }
    )
    builder.budget = orm.Dict(search['budget'])
    builder.clean_workdir = orm.Str(search['clean_workdir'])
    builder.seed = orm.Int(seed)
    builder.references = dict(references or {})
    return builder


def begin_with_labels(builder: ProcessBuilder, labels: Sequence[DatasetData]) -> None:
    """Have a search begin with labels that are there; they are trained on from the first cycle and do not count.

    :param labels: frames with energies, forces and a status.
    """
    builder.restart.labels = {BEFORE.format(number): node for number, node in enumerate(labels)}


def begin_with_potential(builder: ProcessBuilder, potential: PotentialData) -> None:
    """Have each member of the first ensemble of a search trained on from a potential, and those trained again too."""
    members = range(builder.train.n_models.value)
    builder.train.pretrained = potential
    builder.restart.potentials = {f'potential_{number:02d}': potential for number in members}


def get_builder_restart(
    cls: type[SearchWorkChain], node: orm.WorkChainNode, cycle: int | None = None
) -> ProcessBuilder:
    """Return a builder that takes up a search, however it ended; all settings can be changed before it is run.

    Labels that were made are kept, also those of a cycle that did not come to its end, and those of earlier searches
    that it took up itself.

    :param cycle: the last cycle to keep; ``None`` to keep everything.
    :raises ValueError: if the search never got to the end of that cycle.
    """
    cycles = {number: found.outputs for number, found in load_cycles(node).items()}
    complete = sorted(number for number, value in cycles.items() if 'pool' in value)
    if cycle is not None and cycle not in complete:
        raise ValueError(f'search {node.pk} has no complete cycle {cycle}; complete are: {complete or "none"}')
    last = cycle if cycle is not None else max(complete, default=-1)
    builder = node.get_builder_restart()
    given: dict[str, Any] = dict(builder.restart)
    # Where not one label is of use, the labelling was broken: what it was asked for may be asked for again.
    made = {
        f'{CYCLE}{number:02d}': value['labels']
        for number, value in cycles.items()
        if 'labels' in value and not is_of_no_use(value['labels']) and (cycle is None or number <= cycle)
    }
    # What a search was given it hands on: labels from elsewhere, and labels that were corrected.
    labels = given.get('labels', {})
    handed_on = {name: labels[name] for name in labels if not name.startswith(CYCLE) or name in made}
    restart = {**given, 'labels': {**made, **handed_on}}
    restart['cycle'] = orm.Int(_first_to_run(last + 1, restart, builder))
    if last >= 0:
        restart |= {key: cycles[last][key] for key in ('pool', 'assessment') if key in cycles[last]}
        # A cycle without new labels goes on with the potentials of the one before.
        trained = max(number for number, value in cycles.items() if number <= last and 'potentials' in value)
        restart['potentials'] = dict(cycles[trained]['potentials'])
    builder.restart = restart
    return builder


def _first_to_run(cycle: int, restart: Mapping[str, Any], builder: ProcessBuilder) -> int:
    """Return the first cycle to run; one whose labels do not suffice to train on leaves the rest to the next."""
    while f'{CYCLE}{cycle:02d}' in restart['labels'] and count_given(restart) < builder.parameters['min_usable']:
        cycle += 1
    return cycle
