"""What there is to audit of a search, from its provenance: running, ended or failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_prospect.workflows.label.tighter import tighter_inputs
from aiida_prospect.workflows.protocols import load_protocol


def audit_builder(
    node: orm.WorkChainNode,
    *,
    limits: str | None = None,
    changes: Mapping[str, Any] | None = None,
    code: orm.AbstractCode | None = None,
) -> ProcessBuilder:
    """Return the builder of an audit of all labels that the last ensemble of a search was trained on.

    :param limits: protocol of `audit`.
    :param changes: laid over it.
    :param code: Python interpreter; ``None`` for that of the search.
    :raises ValueError: if the search has trained no ensemble yet.
    """
    returned = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    cycles = {key: value for key, value in returned.items() if key.startswith('cycle_')}
    trained = sorted(key for key, value in cycles.items() if 'potentials' in value)
    if not trained:
        raise ValueError(f'search {node.pk} has trained no ensemble yet: there is nothing to compare its labels with')
    last = trained[-1]
    builder = WorkflowFactory('prospect.audit').get_builder()
    builder.labels = {
        **labels_before(node),
        **{k: v['labels'] for k, v in cycles.items() if 'labels' in v and k <= last},
    }
    builder.potentials = dict(cycles[last]['potentials'])
    if 'acceptance' in cycles[last]:
        builder.acceptance = cycles[last]['acceptance']
    builder.parameters = orm.Dict(load_protocol('audit', limits, changes))
    builder.code = code or node.inputs.explore.code
    builder.options = node.inputs.explore.options
    return builder


def labels_before(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return the labels that a search was started with, by name."""
    restart = node.inputs.restart if 'restart' in node.inputs else {}
    return dict(restart['labels']) if 'labels' in restart else {}


def recompute(
    builder: ProcessBuilder, node: orm.WorkChainNode, protocol: str | None, overrides: Mapping[str, Any] | None
) -> None:
    """Have the suspects labelled again, by the method of the search with tighter settings.

    :param protocol: of the labelling; ``None`` for the settings of the search.
    :raises ValueError: if there is no such protocol or override.
    """
    entry_point = node.inputs.label_workflow
    given = node.inputs.label
    inputs = tighter_inputs(WorkflowFactory(entry_point.value), {key: given[key] for key in given}, protocol, overrides)
    builder.recompute = {'workflow': entry_point, 'inputs': inputs}


def not_audited(node: orm.WorkChainNode, builder: ProcessBuilder) -> list[str]:
    """Return the cycles whose labels no ensemble has been trained on yet."""
    returned = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    return sorted(
        k for k, v in returned.items() if k.startswith('cycle_') and 'labels' in v and k not in builder.labels
    )
