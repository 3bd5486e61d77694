"""Whether a code can be used, before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import exceptions

from aiida_prospect.workflows.label.costs import count_processes


def check_code(code: orm.AbstractCode, plugin: str | None = None) -> str | None:
    """Return what is wrong with a code and what to do about it.

    Whether the executable is there is looked up on this machine only: to connect to a cluster takes too long here.

    :param plugin: entry point of the calculation that it is for; ``None`` for any.
    """
    computer = code.computer
    given = code.default_calc_job_plugin
    if plugin is not None and given not in (None, plugin):
        return f'the code `{code.full_label}` is for `{given}`, needed is one for `{plugin}`: see `verdi code list`'
    if computer is None:
        return None
    if not computer.is_configured:
        return (
            f'the computer of the code `{code.full_label}` is not configured for you: '
            f'`verdi computer configure {computer.transport_type} {computer.label}`'
        )
    if isinstance(code, orm.InstalledCode) and computer.transport_type == 'core.local':
        try:
            code.validate_filepath_executable()
        except exceptions.ValidationError as exception:
            return (
                f'the code `{code.full_label}` cannot be used: {exception} '
                'Install the program, or make a code that points to it with `verdi code create core.code.installed`'
            )
    return None


def check_processes(options: Mapping[str, Any]) -> str | None:
    """Return what is wrong if a job would reserve processors for several processes, and start one.

    :param options: ``metadata.options`` of the job.
    """
    count = count_processes(options.get('resources', {}))
    if count == 1 or options.get('withmpi', True):
        return None
    return (
        f'`options.resources` asks for {count} processes, but without MPI one is started: set `options.withmpi` to '
        'true, for a code that allows it (`with_mpi` of the code), or ask for one process'
    )
