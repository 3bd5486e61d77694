"""Tests that a work chain waits for the message broker."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiida.engine import Process, ToContext, WorkChain, run_get_node
from aiida.engine.runners import Runner
from aiormq.exceptions import ChannelInvalidStateError

from aiida_prospect.workflows import delivery
from aiida_prospect.workflows.delivery import PatientProcess, alone, broker_answers


class Child(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.begin)

    def begin(self):
        return None


class Parent(PatientProcess, WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.begin)

    def begin(self):
        return ToContext(child=self.submit(Child, metadata={'call_link_label': 'child'}))


class Repeating(Parent):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.begin, cls.begin)


@pytest.fixture
def reports(monkeypatch):
    said = []
    monkeypatch.setattr(Parent, 'report', lambda self, message: said.append(message))
    return said


def test_a_child_is_submitted_when_the_broker_is_back(aiida_profile, monkeypatch, reports):
    answers = [False, False, True]
    monkeypatch.setattr(delivery, 'broker_answers', lambda: answers.pop(0))
    # The way of submitting stays that of a runner without daemon.
    monkeypatch.setattr(Runner, 'is_daemon_runner', property(lambda self: True))
    monkeypatch.setattr(delivery, 'FIRST_WAIT', 0.01)
    node = run_get_node(Parent)[1]
    assert node.is_finished_ok
    assert [child.process_label for child in node.called] == ['Child']
    assert answers == []
    assert sum('does not answer' in line for line in reports) == 1


def test_a_child_of_a_step_that_was_broken_off_is_taken_over(aiida_profile, monkeypatch, reports):
    monkeypatch.setattr(Runner, 'is_daemon_runner', property(lambda self: True))
    whole, lost = Process.submit, []

    def submit(self, *arguments, **inputs):
        child = whole(self, *arguments, **inputs)
        if not lost:
            # As if the worker had been killed here and the step were run again from its checkpoint.
            lost.append(child)
            return PatientProcess.submit(self, *arguments, **inputs)
        return child

    monkeypatch.setattr(Process, 'submit', submit)
    node = run_get_node(Parent)[1]
    assert node.is_finished_ok
    assert [child.pk for child in node.called] == [lost[0].pk]
    assert any('had been submitted before' in line for line in reports)


def test_a_child_that_another_worker_submits_meanwhile_is_taken_over(aiida_profile, monkeypatch, reports):
    """When the broker comes back it gives a work chain to a second worker, while the first waits for it."""
    monkeypatch.setattr(Runner, 'is_daemon_runner', property(lambda self: True))
    submitted = []

    def answer(self):
        # As if another worker, which has the same work chain, went through the same step.
        submitted.append(Process.submit(self, Child, metadata={'call_link_label': 'child'}))

    monkeypatch.setattr(PatientProcess, '_wait_for_broker', answer)
    node = run_get_node(Parent)[1]
    assert node.is_finished_ok
    assert [child.pk for child in node.called] == [submitted[0].pk]
    assert any('had been submitted before' in line for line in reports)


HOLDER = """
import pathlib, sys
from aiida import load_profile
from aiida_prospect.workflows.delivery import alone
load_profile(sys.argv[1])
with alone(int(sys.argv[2])):
    print('alone', flush=True)
    sys.stdin.readline()
    pathlib.Path(sys.argv[3]).touch()
"""


def test_who_is_alone_keeps_other_workers_out_of_the_same_process_only(aiida_profile, tmp_path):
    left = tmp_path / 'left'
    command = [sys.executable, '-c', HOLDER, aiida_profile.name, '7', str(left)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == 'alone\n'
        with alone(8):
            assert not left.exists()
        holder.stdin.write('leave\n')
        holder.stdin.flush()
        with alone(7):
            assert left.exists()


def test_equal_children_of_different_steps_are_all_submitted(aiida_profile, monkeypatch):
    monkeypatch.setattr(Runner, 'is_daemon_runner', property(lambda self: True))
    node = run_get_node(Repeating)[1]
    assert node.is_finished_ok
    assert len(node.called) == 2


def test_who_runs_without_daemon_does_not_ask_the_broker(aiida_profile, monkeypatch):
    monkeypatch.setattr(delivery, 'broker_answers', lambda: pytest.fail('it was asked'))
    assert run_get_node(Parent)[1].is_finished_ok


def test_a_child_that_was_not_stored_is_an_error(aiida_profile, monkeypatch):
    def refuse(*_, **__):
        raise ChannelInvalidStateError('closed')

    monkeypatch.setattr(Process, 'submit', refuse)
    with pytest.raises(ChannelInvalidStateError):
        run_get_node(Parent)


def test_a_child_that_was_stored_but_not_announced_is_kept(aiida_profile, monkeypatch, reports):
    whole = Process.submit

    def submit(self, *arguments, **inputs):
        child = whole(self, *arguments, **inputs)
        child.set_checkpoint('stands for the one that the daemon would have')
        raise ChannelInvalidStateError('closed')

    monkeypatch.setattr(Process, 'submit', submit)
    monkeypatch.setattr(Runner, 'is_daemon_runner', property(lambda self: True))
    node = run_get_node(Parent)[1]
    assert node.is_finished_ok
    assert any('could not be announced' in line for line in reports)


def test_a_profile_without_broker_has_nothing_to_wait_for(aiida_profile):
    assert broker_answers()


def test_a_broker_that_cannot_be_reached_does_not_answer(monkeypatch):
    class Broker:
        def get_communicator(self):
            raise ConnectionError('refused')

    monkeypatch.setattr('aiida.manage.manager.Manager.get_broker', lambda self: Broker())
    assert not broker_answers()
