"""For each labelling code what its work chain needs to run fast."""

import pytest
from aiida.plugins import WorkflowFactory

from aiida_prospect.data.dataset import DatasetData

# Two atoms, one k-point and few plane waves: a second of pw.x.
CHEAP = {
    'parameters': {'SYSTEM': {'ecutwfc': 12.0}},
    'kpoints_distance': 3.0,
    'relax': {'kpoints_distance': 3.0, 'max_iterations': 1, 'parameters': {'CONTROL': {'nstep': 2}}},
}

# Steps of the stand-in for VASP cost next to nothing, but each run a second; this relaxation is broken off.
SHORT = {'relax': {'max_iterations': 1, 'parameters': {'nsw': 3}}}


@pytest.fixture
def label_calculator(python_code):
    """Return a factory of builders that label with a potential of LAMMPS."""

    def build(frames, overrides=None, **options):
        return WorkflowFactory('prospect.label.calculator').get_builder_from_protocol(
            DatasetData(frames),
            code=python_code,
            **{'arguments': {'potential': 'Si_Stillinger_Weber'}, **options},
            overrides=overrides,
        )

    return build


@pytest.fixture
def label_quantumespresso(pw_code, pseudo_family):
    """Return a factory of builders that label with pw.x."""

    def build(frames, overrides=None, **options):
        return WorkflowFactory('prospect.label.quantumespresso').get_builder_from_protocol(
            DatasetData(frames),
            **{'code': pw_code, 'pseudo_family': pseudo_family.label, **options},
            protocol='fast',
            overrides={**CHEAP, **(overrides or {})},
        )

    return build


@pytest.fixture
def label_quantumespresso_bundle(python_code, pw_code, pseudo_family):
    """Return a factory of builders that label with pw.x, all frames in one job of the interpreter."""
    # With so few plane waves and k-points pw.x converges only near where it began: the first steps of FIRE are short.
    relaxer = {'max_steps': 2, 'optimizer': 'fire'}

    def build(frames, overrides=None, **options):
        return WorkflowFactory('prospect.label.quantumespresso_bundle').get_builder_from_protocol(
            DatasetData(frames),
            **{'code': python_code, 'pseudo_family': pseudo_family.label, 'relaxer': relaxer, **options},
            protocol='fast',
            overrides={**CHEAP, **(overrides or {})},
        )

    return build


@pytest.fixture
def label_vasp(make_vasp_code, potcar_family):
    """Return a factory of builders that label with a program that stands in for VASP."""

    def build(frames, overrides=None, *, failures='', **options):
        return WorkflowFactory('prospect.label.vasp').get_builder_from_protocol(
            DatasetData(frames),
            **{'code': make_vasp_code(failures), 'potential_family': potcar_family, **options},
            protocol='fast',
            overrides={**SHORT, **(overrides or {})},
        )

    return build
