"""Tests of the parsing of what jobs left that were cut short."""

import io

import pytest
from aiida.common import LinkType
from aiida.orm import CalcJobNode, Dict, FolderData
from aiida.plugins import CalculationFactory, ParserFactory

from aiida_prospect.calculations.runners import evaluate, relax
from aiida_prospect.data.dataset import DatasetData


@pytest.fixture
def job(aiida_profile, silicon_frames):
    """Return a factory of jobs of a kind, with what they wrote to their error streams and of themselves."""

    def factory(kind, errors=b'', statistics=None):
        node = CalcJobNode(process_type=f'aiida.calculations:prospect.{kind}')
        for name, data in {'frames': DatasetData(silicon_frames(1)), 'parameters': Dict({})}.items():
            node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
        node.store()
        retrieved = FolderData()
        retrieved.base.repository.put_object_from_filelike(io.BytesIO(errors), f'{kind}.err')
        if statistics is not None:
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(statistics), evaluate.STATISTICS)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
        retrieved.store()
        return node

    return factory


@pytest.mark.parametrize('content', [b'', b'PK', b'PK\x03\x04 cut short', b'nonsense'])
@pytest.mark.parametrize(('kind', 'name'), [('evaluate', evaluate.RESULT), ('relax', relax.RESULT)])
def test_a_broken_file_is_no_exception(job, tmp_path, kind, name, content):
    (tmp_path / name).write_bytes(content)
    parser = ParserFactory(f'prospect.{kind}')(job(kind))
    exit_code = parser.parse(retrieved_temporary_folder=str(tmp_path))
    assert exit_code.status == CalculationFactory(f'prospect.{kind}').exit_codes.ERROR_INVALID_RESULT.status


@pytest.mark.parametrize(('kind', 'name'), [('evaluate', evaluate.RESULT), ('relax', relax.RESULT)])
@pytest.mark.parametrize('others', [{'n_frames': 2}, {'n_atoms': 2}])
def test_results_of_other_frames_are_no_results(job, tmp_path, silicon_frames, kind, name, others):
    silicon_frames(**{'n_frames': 1, **others}).save(tmp_path / name)
    exit_code = ParserFactory(f'prospect.{kind}')(job(kind)).parse(retrieved_temporary_folder=str(tmp_path))
    assert exit_code.status == CalculationFactory(f'prospect.{kind}').exit_codes.ERROR_INVALID_RESULT.status
    assert 'other frames' in exit_code.message


@pytest.mark.parametrize('kind', ['evaluate', 'relax'])
def test_statistics_that_were_cut_short_are_no_exception(job, tmp_path, kind):
    parser = ParserFactory(f'prospect.{kind}')(job(kind, statistics=b'{"evaluations": 1'))
    exit_code = parser.parse(retrieved_temporary_folder=str(tmp_path))
    assert exit_code.status == CalculationFactory(f'prospect.{kind}').exit_codes.ERROR_NO_RESULT.status


def test_an_error_stream_in_another_encoding_is_quoted_as_far_as_it_can_be_read(job, tmp_path):
    parser = ParserFactory('prospect.relax')(job('relax', b'Abbruch: Speicher ersch\xf6pft'))
    exit_code = parser.parse(retrieved_temporary_folder=str(tmp_path))
    assert exit_code.status == CalculationFactory('prospect.relax').exit_codes.ERROR_NO_RESULT.status
    assert 'Abbruch: Speicher ersch\ufffdpft' in exit_code.message
