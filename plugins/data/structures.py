"""Frames from nodes and back."""

from __future__ import annotations

from aiida import orm

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData


def frames_of(node: orm.StructureData | DatasetData) -> Frames:
    """Return what a node holds; the names of kinds in a structure are lost, its elements are kept.

    :raises ValueError: if a structure is not periodic or a site has not exactly one element.
    """
    if isinstance(node, DatasetData):
        return node.frames
    if not all(node.pbc):
        raise ValueError(f'the structure {node.pk} is not periodic in all directions')
    if node.has_vacancies or node.is_alloy:
        raise ValueError(f'the structure {node.pk} has sites without exactly one element')
    return Frames.from_atoms([node.get_ase()])


def structure_of(frame: Frames) -> orm.StructureData:
    """Return a new node with the only frame of a set: cell and positions as they are, one kind per element.

    :raises ValueError: if there is not exactly one frame.
    """
    if len(frame) != 1:
        raise ValueError(f'expected one frame, got {len(frame)}')
    return orm.StructureData(ase=frame.to_atoms()[0])
