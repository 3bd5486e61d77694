"""Whether a code can be used and its jobs be submitted, before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from aiida import orm
from aiida.common import exceptions
from aiida.engine import CalcJob

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


def check_job(code: orm.AbstractCode, options: Mapping[str, Any], plugin: str | None = None) -> str | None:
    """Return what is wrong with a code, or with the options of its jobs, and what to do about it.

    :param options: ``metadata.options`` of the jobs.
    :param plugin: entry point of the calculation that it is for; ``None`` for any.
    """
    return check_code(code, plugin) or _check_options(options) or _check_resources(code, options)


def _check_options(options: Mapping[str, Any]) -> str | None:
    port = CalcJob.spec().inputs['metadata']['options']
    unknown = sorted(set(options) - set(port))
    if unknown:
        close = [name for word in unknown for name in get_close_matches(word, port, 2, 0.5)]
        hint = f'; did you mean {", ".join(close)}?' if close else ', see the documentation of `metadata.options`'
        return f'`options` has {", ".join(unknown)}, which AiiDA does not know{hint}'
    # Jobs of this package have resources by default.
    refusal = port.validate({'resources': {}, **options})
    return f'`options`: {refusal.message}' if refusal else None


def _check_resources(code: orm.AbstractCode, options: Mapping[str, Any]) -> str | None:
    computer, resources = code.computer, dict(options.get('resources', {}))
    if computer is None or not resources:
        return None
    scheduler = computer.get_scheduler()
    try:
        scheduler.preprocess_resources(resources, computer.get_default_mpiprocs_per_machine())
        scheduler.validate_resources(**resources)
    except (TypeError, ValueError) as error:
        return f'`options.resources` will not do for {computer.scheduler_type} on `{computer.label}`: {error}'
    return None


def check_processes(code: orm.AbstractCode, options: Mapping[str, Any]) -> str | None:
    """Return what is wrong if a job would reserve processors for several processes, and start one.

    :param options: ``metadata.options`` of the job.
    """
    count = count_processes(options.get('resources', {}), code.computer)
    if count == 1 or options.get('withmpi', True):
        return None
    return (
        f'`options.resources` asks for {count} processes, but without MPI one is started: set `options.withmpi` to '
        'true, for a code that allows it (`with_mpi` of the code), or ask for one process'
    )
