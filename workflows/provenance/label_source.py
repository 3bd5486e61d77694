"""Which calculation a label comes from."""

from __future__ import annotations

import re

from aiida import orm
from aiida.common.links import LinkType

# As in `frame_0003_trajectory` and `evaluated_01`.
OF_FRAME = re.compile(r'frame_(\d+)_')


def source_of_label(labels: orm.Node, index: int) -> orm.ProcessNode | None:
    """Return the calculation that labelled a frame, ``None`` if the label comes from outside, say from a file.

    :param labels: dataset as a labelling returned it.
    """
    creator = labels.creator
    if creator is None:
        return None
    links = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    by_frame = [link for link in links if OF_FRAME.match(link.link_label)]
    if by_frame:
        links = [link for link in by_frame if int(OF_FRAME.match(link.link_label)[1]) == index]  # type: ignore[index]
    jobs = {link.node.creator.pk: link.node.creator for link in links if _is_result(link.node, index, bool(by_frame))}
    return jobs[max(jobs)] if jobs else None


def _is_result(node: orm.Node, index: int, of_frame: bool) -> bool:
    """Tell whether a job computed this, for a frame of that index."""
    if not isinstance(node.creator, orm.CalcJobNode):
        return False
    return of_frame or not hasattr(node, 'frames') or index in node.frames.known('source').tolist()
