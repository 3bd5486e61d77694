"""Calculation function that takes the candidates of one job."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.data.dataset import DatasetData


@calcfunction
def take_bundle(accepted: DatasetData, first: orm.Int, end: orm.Int) -> DatasetData:
    """Return the frames from ``first`` to before ``end``; ``source`` tells where they come from.

    :raises ValueError: if there are none.
    """
    if not 0 <= first.value < end.value <= len(accepted):
        raise ValueError(f'there are no frames {first.value} to {end.value} among {len(accepted)}')
    return DatasetData(accepted.frames.select(range(first.value, end.value)))
