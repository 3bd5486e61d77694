"""The inputs of a labelling with tighter settings: what another protocol changes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_prospect.data.potential import PotentialData
from aiida_prospect.workflows.label.base import LabelWorkChain
from aiida_prospect.workflows.protocols import merge

# What a labelling is given each time anew.
OF_THE_RUN = ('candidates', 'task', 'metadata')


def tighter_inputs(
    workflow: type[LabelWorkChain],
    inputs: Mapping[str, Any],
    protocol: str | None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return inputs of a labelling with what a protocol and overrides change laid over them.

    What a user set when the labels were made (functional, magnetic moments, queue) stays, because only the differences
    from the default protocol count.

    :param inputs: of the labelling, without candidates.
    :param protocol: ``None`` for no other one.
    :raises ProtocolError: if the protocol is unknown or an override is misspelt.
    """
    method = workflow.method_of(inputs)
    plain = workflow.get_builder_from_protocol(None, **method)._inputs(prune=True)
    tight = workflow.get_builder_from_protocol(None, protocol=protocol, overrides=overrides, **method)._inputs(
        prune=True
    )
    kept = {key: value for key, value in inputs.items() if key not in OF_THE_RUN}
    return _lay_over(kept, plain, tight)


def _lay_over(inputs: Mapping[str, Any], plain: Mapping[str, Any], tight: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs in which what differs between two others is as in the second."""
    result = dict(inputs)
    for key, value in tight.items():
        before = plain.get(key)
        if key in OF_THE_RUN:
            continue
        if isinstance(value, Mapping):
            result[key] = _lay_over(inputs.get(key, {}), before or {}, value)
        elif isinstance(value, orm.Dict):
            changed = _difference(before.get_dict() if before is not None else {}, value.get_dict())
            if changed:
                given = inputs[key].get_dict() if key in inputs else {}
                result[key] = orm.Dict(merge(given, changed))
        elif isinstance(value, PotentialData) and before is not None and key in inputs:
            result[key] = _with_arguments(inputs[key], before, value)
        elif isinstance(value, orm.Int | orm.Float | orm.Str | orm.Bool) and (
            before is None or before.value != value.value
        ):
            result[key] = value
    return result


def _with_arguments(given: PotentialData, before: PotentialData, after: PotentialData) -> PotentialData:
    """Return a calculator with what differs between the arguments of two others as in the second."""
    told, *others = (potential.base.attributes.get('arguments') for potential in (given, before, after))
    changed = _difference(*others)
    if not changed:
        return given
    tighter = given.clone()
    tighter.base.attributes.set('arguments', merge(told, changed))
    return tighter


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is new or other in a dictionary."""
    changed: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = _difference(old, value)
            if inner:
                changed[key] = inner
        elif key not in before or old != value:
            changed[key] = value
    return changed
