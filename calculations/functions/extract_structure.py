"""Calculation function that takes one frame out of a dataset."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.structures import structure_of


@calcfunction
def extract_structure(dataset: DatasetData, index: orm.Int) -> orm.StructureData:
    """Return frame ``index`` as a structure, with the very cell and positions, a left-handed cell included.

    :raises ValueError: if there is no such frame.
    """
    if not 0 <= index.value < len(dataset):
        raise ValueError(f'there is no frame {index.value} in a dataset of {len(dataset)}')
    return structure_of(dataset.frames[index.value])
