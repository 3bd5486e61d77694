"""What a search begins with: labels that are there already, and a potential."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.cmdline.utils import echo
from aiida.common.exceptions import NotExistent
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.imported import card_of, import_model
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.deepmd_model import ModelCard, training_parameters
from aiida_prospect.methods.initial_labels import check_elements, read_labels, read_settings
from aiida_prospect.methods.label_settings import find_conflicts

NETWORKS = 'deepmd'
THIS_SEARCH = 'this search'


def add_labels(builder: ProcessBuilder, files: tuple[Path, ...], places: tuple[str, ...], *, force_mixed: bool) -> None:
    """Add labels from files, and from calculations in the database, to the inputs of a search.

    Nothing is stored before it is clear that all of them fit together and to the search.

    :param places: groups, or ``query``.
    :param force_mixed: warn of different settings instead of refusing them.
    :raises ValueError: if something cannot be read, has other elements or was made with other settings.
    """
    from aiida_prospect.workflows.earlier import base as earlier
    from aiida_prospect.workflows.search_inputs import begin_with_labels

    if not files and not places:
        return
    elements = sorted(builder.pool.parameters['composition'])
    frames = {path: read_labels(path) for path in files}
    for path, part in frames.items():
        _check_elements(path, part, elements)
    found = {place: earlier.find_earlier(place, elements) for place in places}
    settings: dict[str, Mapping[str, Any]] = {str(path): read_settings(path) for path in files}
    for place, calculations in found.items():
        settings |= earlier.settings_of(calculations.jobs)
        for reason, count in calculations.left_out.items():
            echo.echo(f'Left out of {place}: {count} calculations: {reason}')
    check_settings(builder, elements, settings, force_mixed=force_mixed)
    nodes = []
    for path, part in frames.items():
        nodes.append(DatasetData(part, label=path.name))
    for place, calculations in found.items():
        node = earlier.collect(calculations.jobs)
        node.label = f'{len(calculations.jobs)} calculations, {place}'
        nodes.append(node)
    begin_with_labels(builder, nodes)


def _check_elements(path: Path, frames: Any, elements: list[str]) -> None:
    try:
        check_elements(frames, elements)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def check_settings(
    builder: ProcessBuilder, elements: list[str], settings: Mapping[str, Mapping[str, Any]], *, force_mixed: bool
) -> None:
    """Compare the settings of labels with each other and with those that the search will make.

    :param settings: by source.
    :raises ValueError: with the differences, unless they are allowed.
    """
    workflow = WorkflowFactory(builder.label_workflow.value)
    inputs = builder.label
    ours = workflow.settings_of({key: inputs[key] for key in inputs}, elements)
    conflicts = find_conflicts({**settings, THIS_SEARCH: ours})
    unknown = [source for source, known in settings.items() if not known]
    if unknown:
        echo.echo(f'Not known with which settings they were made, so not compared: {", ".join(unknown)}')
    if conflicts and not force_mixed:
        listed = '\n'.join(f'  {conflict}' for conflict in conflicts)
        raise ValueError(
            f'the initial labels were made with settings that differ:\n{listed}\n'
            'Their energies do not fit together. Change the settings of the search (--overrides, --pseudos), leave '
            'some labels out, or give --force-mixed if you know that the differences do not matter.'
        )
    for conflict in conflicts:
        echo.echo_warning(f'different settings: {conflict}')


def add_potential(builder: ProcessBuilder, name: str, branch: str) -> None:
    """Have the first ensemble of a search trained on from a model, with the network of that model.

    :param name: file, or PK or UUID of a potential.
    :param branch: of a model for several tasks.
    :raises ValueError: if no training of the search can start from it.
    """
    from aiida_prospect.workflows.search_inputs import TRAIN_PREFIX, begin_with_potential, check_restart

    chosen = builder.train.member_workflow.value.removeprefix(TRAIN_PREFIX)
    if chosen != NETWORKS:
        raise ValueError(
            f'`--initial-potential` is for `--force-field {NETWORKS}`, not for `{chosen}`, which fits anew'
        )
    potential, card = _load_potential(name, branch)
    begin_with_potential(builder, potential)
    check_restart({'potentials': {name: potential}}, builder.pool.parameters['composition'])
    builder.train.member['parameters'] = orm.Dict(
        training_parameters(card, builder.train.member['parameters'].get_dict())
    )
    how = 'its zero of energy is adapted' if card.start == '--finetune' else 'its zero of energy stays what it is'
    echo.echo(f'The trainings start from {name}: {card.architecture} of {card.backend}; {how}.')


def _load_potential(name: str, branch: str) -> tuple[PotentialData, ModelCard]:
    path = Path(name)
    if path.is_file():
        return import_model(path, branch)
    try:
        node = orm.load_node(name)
    except (NotExistent, ValueError) as error:
        raise ValueError(f'`{name}` is neither a file nor a node in the database') from error
    if not isinstance(node, PotentialData):
        raise ValueError(f'node {node.pk} is no potential but a {type(node).__name__}')
    return node, card_of(node)
