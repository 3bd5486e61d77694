"""Searches that are put into a group."""

import pytest
from aiida import orm
from aiida.engine import WorkChain
from click.testing import CliRunner

from aiida_prospect.cli import foreground
from aiida_prospect.cli.root import cmd_root


class Nothing(WorkChain):
    """Ends at once."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.do_nothing)

    def do_nothing(self):
        pass


def test_in_the_foreground(monkeypatch):
    monkeypatch.setattr(foreground, 'describe', lambda node: ('a', 'a'))
    group = orm.Group('run in the foreground').store()
    node = foreground.run(Nothing.get_builder(), group)
    assert [member.pk for member in group.nodes] == [node.pk]


@pytest.mark.usefixtures('python_code')
def test_submitted(monkeypatch):
    """The group is made the first time and used the second."""
    monkeypatch.setattr('aiida.engine.submit', lambda builder: orm.WorkChainNode().store())
    for _ in range(2):
        arguments = ['search', 'Si4', '--python', 'python@localhost', '--group', 'submitted to it', '--submit']
        done = CliRunner().invoke(cmd_root, arguments)
        assert done.exit_code == 0, done.output
    assert len(orm.load_group('submitted to it').nodes) == 2
