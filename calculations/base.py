"""A job that runs a module of this package where AiiDA is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, ExitCode
from aiida.orm import FolderData, RemoteData

from aiida_prospect.calculations.runtime import copy_runtime
from aiida_prospect.calculations.streams import verdict_of_scheduler


class RunnerCalculation(CalcJob):
    """Run a module of this package on the compute side; the code is a Python interpreter there.

    A subclass names what travels with the job in ``RUNTIME``, the module that is run first, and the stem of the files
    of its output and error streams in ``STEM``.
    """

    RUNTIME: ClassVar[tuple[str, ...]]
    STEM: ClassVar[str]

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the options."""
        super().define(spec)
        options = spec.inputs['metadata']['options']
        options['output_filename'].default = f'{cls.STEM}.out'
        options['withmpi'].default = False
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}

    @classmethod
    def error_filename(cls) -> str:
        """Return the name of the file with the error stream."""
        return f'{cls.STEM}.err'

    def parse_scheduler_output(self, retrieved: FolderData) -> ExitCode | None:
        """Return what the scheduler says of the end of the job, also where its streams are no UTF-8."""
        try:
            return super().parse_scheduler_output(retrieved)
        except UnicodeDecodeError:
            return verdict_of_scheduler(self.node, retrieved)

    def calc_info(
        self,
        folder: Folder,
        *,
        retrieve: Iterable[Any] = (),
        retrieve_temporary: Iterable[str] = (),
        exclude: Iterable[str] = (),
    ) -> CalcInfo:
        """Copy the runtime and return what runs it; beside the streams that come back in any case.

        :param retrieve: entries of the retrieve list, stored.
        :param retrieve_temporary: entries that only the parser sees.
        :param exclude: input files that are not stored with the job, because they are stored elsewhere.
        """
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = ['-m', self.RUNTIME[0]]
        code.stdout_name, code.stderr_name = self.options.output_filename, self.error_filename()
        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = [code.stdout_name, code.stderr_name, *retrieve]
        info.retrieve_temporary_list = list(retrieve_temporary)
        info.provenance_exclude_list = [*exclude, *copy_runtime(folder, *self.RUNTIME)]
        return info


def file_of(parent: RemoteData, name: str) -> tuple[str, str]:
    """Return the computer and the path of a file in the folder of an earlier job, as copy lists want them."""
    return parent.computer.uuid, str(PurePosixPath(parent.get_remote_path()) / name)


def define_failures(spec: CalcJobProcessSpec, failures: Mapping[int, tuple[str, str]]) -> None:
    """Define exit codes of what another machine or another day may cure: such jobs are not taken from the cache."""
    for status, (label, message) in failures.items():
        spec.exit_code(status, label, invalidates_cache=True, message=message)
