"""A reader of what is printed that goes away."""

import logging
import os
import sys

import pytest
from aiida.cmdline.utils.log import CliHandler

from aiida_prospect.cli.root import cmd_root


@pytest.fixture
def handler(monkeypatch):
    """Return the handler that prints for commands, once a command has begun, as AiiDA makes it."""
    monkeypatch.setattr(CliHandler, 'handleError', CliHandler.handleError)
    cmd_root.callback()
    return CliHandler()


@pytest.fixture
def nobody(monkeypatch):
    """Return a function after which nobody reads what is printed; between the phases of a test pytest would read it."""

    def leave():
        reading, writing = os.pipe()
        os.close(reading)
        monkeypatch.setattr(sys, 'stdout', os.fdopen(writing, 'w', buffering=1))

    return leave


def record_of(logger, message='a line'):
    return logging.LogRecord(logger, logging.INFO, __file__, 1, message, None, None)


def test_ends_the_command_but_no_process(handler, capsys, nobody):
    nobody()
    with pytest.raises(BrokenPipeError):
        handler.emit(record_of('verdi'))
    handler.emit(record_of('aiida.orm.nodes.process.workflow'))
    assert capsys.readouterr().err == ''


def test_other_faults_of_messages_are_told(handler, capsys):
    broken = record_of('verdi', 'a number: %d')
    broken.args = ('none',)
    handler.emit(broken)
    assert 'Logging error' in capsys.readouterr().err
