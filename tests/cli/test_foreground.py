"""A search in the foreground that is interrupted."""

import gc
import logging
import os
import signal
import threading
import time

import pytest
from aiida import orm
from aiida.common.log import LOG_LEVEL_REPORT
from aiida.engine import ToContext, WorkChain
from aiida.engine.runners import Runner
from aiida.manage.manager import Manager
from aiida.plugins import CalculationFactory

from aiida_prospect.cli import foreground

ArithmeticAddCalculation = CalculationFactory('core.arithmetic.add')
LONG = 300


class Sleeper(WorkChain):
    """Has a job that takes longer than any test."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode)
        spec.outline(cls.run_job, cls.never_reached)

    def run_job(self):
        options = {'sleep': LONG, 'resources': {'num_machines': 1}}
        inputs = {'x': orm.Int(1), 'y': orm.Int(2), 'code': self.inputs.code, 'metadata': {'options': options}}
        return ToContext(job=self.submit(ArithmeticAddCalculation, **inputs))

    def never_reached(self):
        raise AssertionError


def interrupt_when_there_is_a_job(newest, delay):
    deadline, new = time.monotonic() + 60, {'id': {'>': newest}}
    while not orm.QueryBuilder().append(ArithmeticAddCalculation, filters=new).count() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize('delay', [0, 5], ids=['before it is submitted', 'while it runs'])
def test_an_interrupt_ends_the_jobs_too(aiida_code_installed, monkeypatch, caplog, delay):
    monkeypatch.setattr(foreground, 'describe', lambda node: ('a', 'a'))
    builder = Sleeper.get_builder()
    builder.code = aiida_code_installed(default_calc_job_plugin='core.arithmetic.add', filepath_executable='/bin/bash')
    threading.Thread(target=interrupt_when_there_is_a_job, args=(builder.code.pk, delay), daemon=True).start()
    node = foreground.run(builder)
    assert node.is_killed
    assert all(child.is_terminated for child in node.called_descendants)
    # What is killed leaves tasks of the event loop behind, which complain when they are thrown away.
    gc.collect()
    assert [record for record in caplog.records if record.name == 'asyncio'] == []


def test_children_are_asked_often_whatever_the_profile_says(aiida_profile, monkeypatch):
    seen = []
    monkeypatch.setattr(Manager, 'get_option', lambda self, name: 60)
    monkeypatch.setattr(Runner, '__init__', lambda self, poll_interval, persister: seen.append(poll_interval))
    foreground.ForegroundRunner()
    assert seen == [foreground.LONGEST_POLL]


@pytest.mark.usefixtures('aiida_profile')
def test_warnings_that_do_not_say_of_which_job_they_are_stay_in_the_database():
    seen = []
    node, handler = orm.WorkChainNode().store(), logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logging.getLogger('aiida').addHandler(handler)
    try:
        with foreground.only_reports_of(node):
            logging.getLogger('aiida.parser.PwParser').warning('c_bands: at least 1 eigenvalues not converged')
            logging.getLogger('aiida.orm.nodes').log(LOG_LEVEL_REPORT, '[0|LabelWorkChain|a]: of a part')
            logging.getLogger('aiida.orm.nodes').log(LOG_LEVEL_REPORT, f'[{node.pk}|SearchWorkChain|a]: of the search')
            logging.getLogger('aiida.engine.transports').warning('no connection')
    finally:
        logging.getLogger('aiida').removeHandler(handler)
    assert [words.split(': ')[-1] for words in seen] == ['of the search', 'no connection']


def test_a_file_is_told_of_each_stage_and_at_times_how_far_it_has_come(capsys):
    line = foreground.Line(pause=60)
    told = [('label', '1 of 9'), ('label', '4 of 9'), ('label', '6 of 9'), ('train', 'training')]
    for seconds, (key, text) in zip((0, 30, 61, 65), told, strict=True):
        line.write(key, text, seconds)
    line.write('train', 'training', 500)
    expected = ['[00:00] 1 of 9', '[01:01] 6 of 9', '[01:05] training']
    assert capsys.readouterr().err.splitlines() == expected
