"""Sets of labels as one sequence of frames, and back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from aiida.orm import Dict

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData


def frames_by_name(labels: Mapping[str, DatasetData]) -> dict[str, Frames]:
    """Return the frames of each set."""
    return {name: labels[name].frames for name in sorted(labels)}


def joined(labels: Mapping[str, DatasetData]) -> Frames:
    """Return all frames, those of one set after those of another, in the order of the names."""
    return Frames.concatenate([labels[name].frames for name in sorted(labels)])


def places(labels: Mapping[str, DatasetData]) -> list[tuple[str, int]]:
    """Return the set and the index in it for each frame of :func:`joined`."""
    return [(name, index) for name in sorted(labels) for index in range(len(labels[name]))]


def starts(labels: Mapping[str, DatasetData]) -> dict[str, int]:
    """Return where in :func:`joined` each set begins."""
    names = sorted(labels)
    return dict(zip(names, accumulate((len(labels[name]) for name in names), initial=0), strict=False))


def reasons_to_leave_out(labels: Mapping[str, DatasetData], acceptance: Dict | None) -> list[str]:
    """Return for each frame of :func:`joined` why nothing was trained on it, or an empty string.

    :param acceptance: of ``clean_labels``.
    """
    rejected = {} if acceptance is None else acceptance['rejected']
    return [rejected.get(name, {}).get(str(index), '') for name, index in places(labels)]
