"""How much to evaluate at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

OUT_OF_MEMORY = 'memory does not suffice for this structure alone'
# What TensorFlow, CUDA and the allocator of PyTorch say.
WORDS = ('out of memory', 'oom when allocating', 'not enough memory', "can't allocate memory", 'resource_exhausted')


def is_out_of_memory(exception: BaseException) -> bool:
    """Tell whether memory did not suffice; each library has its own exception for it."""
    names = {kind.__name__ for kind in type(exception).__mro__}
    if names & {'MemoryError', 'OutOfMemoryError', 'ResourceExhaustedError'}:
        return True
    return isinstance(exception, RuntimeError) and any(words in str(exception).lower() for words in WORDS)


class Batches:
    """Works through frames in batches, smaller ones once memory did not suffice.

    :param atoms: at most so many in a batch, unless a single frame has more.
    """

    def __init__(self, atoms: int) -> None:
        self.atoms = atoms

    def run(self, sizes: NDArray[np.int64], work: Callable[[int, int], None]) -> Iterator[int]:
        """Call ``work`` with the first frame of each batch and the one after its last.

        :param sizes: (n_frames,), numbers of atoms.
        :return: the frames that do not fit into memory even alone.
        """
        ends, start = np.cumsum(sizes), 0
        while start < len(sizes):
            before = ends[start] - sizes[start]
            stop = max(start + 1, int(np.searchsorted(ends, before + self.atoms, side='right')))
            try:
                work(start, stop)
            except Exception as exception:
                if not is_out_of_memory(exception):
                    raise
                if stop > start + 1:
                    self.atoms = max(1, int(ends[stop - 1] - before) // 2)
                    continue
                yield start
            start = stop
