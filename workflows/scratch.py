"""The folders that jobs leave on the computers where they ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.transports import Transport

from aiida_prospect.common.enums import ScratchPolicy

POLICIES = ', '.join(f'`{policy}`' for policy in ScratchPolicy)


@dataclass
class Cleaning:
    """What was cleaned.

    :param count: of folders removed.
    :param failures: what could not be done, a sentence for each computer.
    """

    count: int = 0
    failures: list[str] = field(default_factory=list)


def validate_policy(policy: orm.Str, _: Any) -> str | None:
    """Refuse what is no policy."""
    known = [item.value for item in ScratchPolicy]
    return None if policy.value in known else f'`{policy.value}` is no policy for folders of jobs; choose: {POLICIES}'


def define_policy(spec: Any) -> None:
    """Define the input ``clean_workdir`` of a work chain."""
    spec.input(
        'clean_workdir',
        valid_type=orm.Str,
        default=lambda: orm.Str(ScratchPolicy.KEEP_FAILED.value),
        validator=validate_policy,
        serializer=orm.to_aiida_type,
        help=f'Which folders of ended jobs stay where they ran: {POLICIES}.',
    )


def clean_scratch(processes: Iterable[orm.ProcessNode], policy: ScratchPolicy) -> Cleaning:
    """Remove the folders of the jobs below processes that have ended, and that nothing will be continued from.

    A failure that the caller of the job has made good is none. Folders of results that were taken from the cache belong
    to the jobs that made them, and stay.
    """
    cleaning = Cleaning()
    if policy is ScratchPolicy.KEEP_ALL:
        return cleaning
    folders: dict[int, list[orm.RemoteData]] = defaultdict(list)
    for job in _jobs_below(processes):
        keep = policy is ScratchPolicy.KEEP_FAILED and not _ended_well(job)
        folder = None if keep else job.base.links.get_outgoing(link_label_filter='remote_folder').first()
        if folder is not None and not folder.node.is_cleaned:
            folders[folder.node.computer.pk].append(folder.node)
    for group in folders.values():
        computer = group[0].computer
        try:
            with group[0].get_authinfo().get_transport() as transport:
                for folder in group:
                    _remove(transport, folder)
                    cleaning.count += 1
        except Exception as exception:
            # Behind a transport may be any plugin with errors of its own, and a search must not end for want of order.
            cause = f'{type(exception).__name__}: {exception}'
            cleaning.failures.append(f'folders of jobs on `{computer.label}` could not be removed: {cause}')
    return cleaning


def _jobs_below(processes: Iterable[orm.ProcessNode]) -> Iterator[orm.CalcJobNode]:
    for process in processes:
        for node in (process, *process.called_descendants):
            is_job = isinstance(node, orm.CalcJobNode) and node.is_terminated
            if is_job and not node.base.caching.is_created_from_cache:
                yield node


def _ended_well(job: orm.CalcJobNode) -> bool:
    return bool(job.is_finished_ok or (job.caller is not None and job.caller.is_finished_ok))


def _remove(transport: Transport, folder: orm.RemoteData) -> None:
    """Remove a folder; unlike AiiDA's own cleaning this does not call clean what could not be removed."""
    path = folder.get_remote_path()
    if transport.path_exists(path):
        transport.rmtree(path)
    folder.base.extras.set(folder.KEY_EXTRA_CLEANED, True)
