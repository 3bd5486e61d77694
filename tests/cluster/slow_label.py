"""A labelling on the test cluster whose job can be watched."""

from __future__ import annotations

from aiida import orm
from aiida.engine import submit
from aiida.plugins import DataFactory, WorkflowFactory
from ase.build import bulk

from aiida_prospect.common.frames import Frames


def submit_label(seconds: int) -> orm.WorkChainNode:
    """Submit the labelling of copper; its job sleeps for some seconds before it begins."""
    builder = WorkflowFactory('prospect.label.calculator').get_builder_from_protocol(
        DataFactory('prospect.dataset')(Frames.from_atoms([bulk('Cu')])),
        code=orm.load_code('python@cluster-cpu'),
        calculator='ase.calculators.emt:EMT',
        options={'prepend_text': f'sleep {seconds}'},
    )
    return submit(builder)
