"""Potentials that were trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiida_prospect.common.enums import Backend
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.deepmd_model import ModelCard, read_model


def import_model(path: Path, branch: str = '') -> tuple[PotentialData, ModelCard]:
    """Return a new node with a model of DeePMD-kit that trainings can start from, and what it says of itself.

    :param branch: of a model for several tasks.
    :raises ValueError: if no training can start from it.
    """
    card = read_model(path, branch)
    node = PotentialData.from_files(
        path,
        backend=card.backend,
        type_map=card.type_map,
        cutoff=card.cutoff,
        metadata={'architecture': card.architecture, 'suffix': card.suffix, 'start': start_options(card)},
    )
    node.label = path.name
    return node, card


def start_options(card: ModelCard) -> list[str]:
    """Return the options of ``dp train``; the name of the file follows the first."""
    options: list[str] = [card.start]
    if card.suffix == '.pt':
        # The network is that of the model in any case; this has DeePMD-kit see to what belongs to it.
        options.append('--use-pretrain-script')
    return [*options, '--model-branch', card.branch] if card.branch else options


def card_of(potential: PotentialData) -> ModelCard:
    """Return what the model of a node says of itself.

    :raises ValueError: if no training of DeePMD-kit can start from it.
    """
    if potential.program not in (Backend.TENSORFLOW, Backend.PYTORCH):
        raise ValueError(f'a potential of the backend `{potential.program}` is no model of DeePMD-kit to start from')
    options: list[Any] = potential.metadata.get('start') or []
    branch = options[options.index('--model-branch') + 1] if '--model-branch' in options else ''
    with TemporaryDirectory() as folder:
        path = Path(folder) / f'model{potential.suffix}'
        potential.write_initial(path)
        return read_model(path, branch)
