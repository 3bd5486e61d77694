"""Tests of batches that become smaller where memory does not suffice."""

import numpy as np
import pytest

from aiida_prospect.methods.evaluators.batches import Batches, is_out_of_memory


class ResourceExhaustedError(Exception):
    """As TensorFlow has it."""


def work_with(memory, sizes, log):
    def work(start, stop):
        if sizes[start:stop].sum() > memory:
            raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
        log.append((start, stop))

    return work


@pytest.mark.parametrize('limit', [8, 20, 10_000])
def test_every_frame_is_worked_on_once_and_no_batch_is_too_large(limit):
    sizes, log = np.array([8, 3, 5, 8, 8, 2, 30, 1, 1]), []
    assert list(Batches(limit).run(sizes, lambda start, stop: log.append((start, stop)))) == []
    assert [index for start, stop in log for index in range(start, stop)] == list(range(len(sizes)))
    assert all(sizes[start:stop].sum() <= limit or stop == start + 1 for start, stop in log)


def test_batches_are_halved_until_they_fit_and_stay_small():
    sizes, log = np.full(64, 16), []
    batches = Batches(1024)
    assert list(batches.run(sizes, work_with(200, sizes, log))) == []
    assert [index for start, stop in log for index in range(start, stop)] == list(range(64))
    assert batches.atoms == 128
    again = []
    list(batches.run(sizes, work_with(200, sizes, again)))
    assert len(again) == 8


def test_frame_that_never_fits_is_named_and_the_others_are_done():
    sizes, log = np.array([16, 300, 16]), []
    assert list(Batches(1024).run(sizes, work_with(200, sizes, log))) == [1]
    assert log == [(0, 1), (2, 3)]


def test_other_errors_pass_through():
    def fail(start, stop):
        raise RuntimeError('shape mismatch')

    with pytest.raises(RuntimeError, match='shape'):
        list(Batches(10).run(np.array([1]), fail))


@pytest.mark.parametrize(
    ('exception', 'expected'),
    [
        (MemoryError(), True),
        (ResourceExhaustedError('OOM when allocating tensor'), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError('expected scalar type Double'), False),
        (ValueError('out of memory'), False),
    ],
)
def test_what_is_called_out_of_memory(exception, expected):
    assert is_out_of_memory(exception) == expected
