"""What a search takes, what it gives, and how it may fail."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ProcessSpec
from aiida.plugins import DataFactory

from aiida_prospect.workflows import search_inputs
from aiida_prospect.workflows.explore import ExploreWorkChain
from aiida_prospect.workflows.scratch import define_policy
from aiida_prospect.workflows.train.ensemble import TrainEnsembleWorkChain

DatasetData = DataFactory('prospect.dataset')
PotentialData = DataFactory('prospect.potential')


def define_inputs(spec: ProcessSpec) -> None:
    """Define the inputs of a search."""
    spec.input_namespace('pool')
    spec.input('pool.parameters', valid_type=orm.Dict, help='Parameters of `generate_pool`.')
    spec.input_namespace(
        'pool.structures',
        valid_type=(orm.StructureData, DatasetData),
        dynamic=True,
        required=False,
        help='Structures that are added to the pool.',
    )
    spec.input('label_workflow', valid_type=orm.Str, help='Entry point of the work chain that labels.')
    spec.input_namespace('label', dynamic=True, help='Its inputs, without candidates and task.')
    spec.expose_inputs(TrainEnsembleWorkChain, namespace='train', exclude=('training', 'initial', 'seed', 'metadata'))
    spec.expose_inputs(ExploreWorkChain, namespace='explore', exclude=('pool', 'potentials', 'metadata'))
    spec.input('parameters', valid_type=orm.Dict, help='How to cluster, to select and to stop.')
    spec.input('budget', valid_type=orm.Dict, help='`max_labels`, `max_cycles`, `max_core_hours`; null: no limit.')
    spec.input('seed', valid_type=orm.Int, default=lambda: orm.Int(1), help='Of everything that is random.')
    define_policy(spec)
    spec.input_namespace(
        'references',
        valid_type=orm.StructureData,
        dynamic=True,
        required=False,
        help='To compare with.',
    )
    spec.input_namespace('restart', required=False, help='What there is already, of an earlier search or not.')
    spec.input('restart.cycle', valid_type=orm.Int, required=False, help='The first cycle to run.')
    spec.input('restart.pool', valid_type=DatasetData, required=False)
    spec.input('restart.assessment', valid_type=orm.Dict, required=False)
    spec.input_namespace(
        'restart.labels',
        valid_type=DatasetData,
        dynamic=True,
        required=False,
        help='`cycle_00`, …: of an earlier search, they count. Names that sort before these: from elsewhere.',
    )
    spec.input_namespace(
        'restart.potentials', valid_type=PotentialData, dynamic=True, required=False, help='To train on from.'
    )
    spec.inputs.validator = search_inputs.validate


def define_outputs(spec: ProcessSpec) -> None:
    """Define the outputs and exit codes of a search; those of its cycles have names that are not known beforehand."""
    spec.outputs.dynamic = True
    spec.output('minima', valid_type=DatasetData, required=False, help='Distinct minima, the lowest first.')
    spec.output('ranking', valid_type=orm.Dict, required=False, help='The same in numbers and words.')
    spec.output('stop', valid_type=orm.Dict, required=False, help='Why the search ended, with its numbers.')
    spec.output('pool_report', valid_type=orm.Dict, required=False, help='What the pool is made of.')
    spec.output_namespace('structures', valid_type=orm.StructureData, dynamic=True, required=False)

    spec.exit_code(401, 'ERROR_LABEL_FAILED', message='cycle {cycle}: {count} usable labels; {detail}')
    spec.exit_code(402, 'ERROR_TRAIN_FAILED', message='cycle {cycle}: the training failed: {detail}')
    spec.exit_code(403, 'ERROR_EXPLORE_FAILED', message='cycle {cycle}: the relaxation failed: {detail}')
    spec.exit_code(404, 'ERROR_FINAL_RELAXATION_FAILED', message='no minimum could be relaxed: {detail}')
    spec.exit_code(405, 'ERROR_POOL_FAILED', message='no pool could be made: {detail}')
    spec.exit_code(501, 'ERROR_BUDGET_SPENT', message='{sentence}; the best minima so far are attached')
