"""The contract of all that gives labels: energies, forces and stresses of a reference method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, WorkChain, while_

from aiida_prospect.calculations.functions.screen_candidates import screen_candidates
from aiida_prospect.common.enums import LabelStatus, LabelTask, ScratchPolicy
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import count_by_status
from aiida_prospect.methods.prechecks import Prechecks
from aiida_prospect.workflows.delivery import PatientProcess
from aiida_prospect.workflows.losses import define_escalation
from aiida_prospect.workflows.scratch import clean_scratch, define_policy


def validate_candidates(candidates: DatasetData, _: Any) -> str | None:
    """Refuse an empty set."""
    return None if len(candidates) else 'there are no candidates to label'


def validate_task(task: orm.Str, _: Any) -> str | None:
    """Refuse an unknown task."""
    known = [item.value for item in LabelTask]
    return None if task.value in known else f'`{task.value}` is no task; choose one of: {", ".join(known)}'


def validate_prechecks(prechecks: orm.Dict, _: Any) -> str | None:
    """Refuse unknown and impossible thresholds."""
    try:
        Prechecks.from_mapping(prechecks.get_dict())
    except ValueError as exception:
        return str(exception)
    return None


def validate_max_concurrent(number: orm.Int, _: Any) -> str | None:
    """Refuse to run no jobs."""
    return None if number.value >= 1 else f'`max_concurrent` is {number.value}, it must be at least 1'


def validate_fraction(fraction: orm.Float, _: Any) -> str | None:
    """Refuse what is no fraction."""
    if 0 <= fraction.value <= 1:
        return None
    return f'`max_failed_fraction` is {fraction.value}, it must lie between 0 and 1'


def _plain(value: Any) -> Any:
    if isinstance(value, orm.Dict):
        return value.get_dict()
    return value.value if isinstance(value, orm.Str | orm.Int | orm.Float | orm.Bool) else value


class LabelWorkChain(PatientProcess, WorkChain):
    """Label frames with a reference method.

    The labels are the same frames in the same order. Each has a status: ``ok``; ``unconverged``, if the method did not
    reach self-consistency; ``failed``; ``rejected``, if the method was not asked. All but ``ok`` have a reason and no
    numbers. For the task ``relax`` positions and cells are the final ones, and ``steps`` tells how many energies were
    computed; if a relaxation was stopped before its end, the frame is ``ok``, the numbers are those of the final
    positions, and the reason says so.

    An implementation defines :meth:`should_label`, :meth:`label_candidates` and :meth:`collect_labels`, and a class
    method ``get_builder_from_protocol(candidates, *, protocol=None, overrides=None, ...)`` that also takes ``None`` for
    candidates that do not exist yet. It must be launchable from a plain dictionary of its inputs. For the command line
    it says for which calculation its ``code`` is (``PLUGIN``), and which keyword takes the label of a family of
    potentials (``FAMILY``), if it needs one.
    """

    PLUGIN: ClassVar[str] = 'python'
    FAMILY: ClassVar[str] = ''
    get_builder_from_protocol: ClassVar[Callable[..., ProcessBuilder]]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the contract."""
        super().define(spec)
        serializer = orm.to_aiida_type
        spec.input('candidates', valid_type=DatasetData, validator=validate_candidates, help='What to label.')
        spec.input(
            'task',
            valid_type=orm.Str,
            default=lambda: orm.Str(LabelTask.SINGLE_POINT.value),
            validator=validate_task,
            serializer=serializer,
            help='`single_point` or `relax`.',
        )
        spec.input(
            'prechecks',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=validate_prechecks,
            serializer=serializer,
            help='Thresholds of what the method is not asked for; `null` switches a rule off.',
        )
        spec.input(
            'max_concurrent',
            valid_type=orm.Int,
            default=lambda: orm.Int(1),
            validator=validate_max_concurrent,
            serializer=serializer,
            help='Most jobs that are submitted at a time.',
        )
        spec.input(
            'max_failed_fraction',
            valid_type=orm.Float,
            default=lambda: orm.Float(0.5),
            validator=validate_fraction,
            serializer=serializer,
            help='Part of the accepted candidates that may fail before the work chain ends with an error.',
        )
        define_escalation(spec)
        define_policy(spec)
        spec.output('labels', valid_type=DatasetData, help='The candidates with energy, forces, stress and status.')
        spec.output('report', valid_type=orm.Dict, help='Counts by status, energies computed, seconds.')
        spec.outline(
            cls.screen_candidates,
            while_(cls.should_label)(cls.label_candidates),
            cls.collect_labels,
            cls.clean_folders,
            cls.inspect_labels,
        )
        spec.exit_code(401, 'ERROR_NO_LABELS', message='None of {frames} candidates could be labelled: {reason}')
        spec.exit_code(
            501,
            'ERROR_TOO_MANY_FAILED',
            message='{failed} of {tried} labels failed or did not converge, more than {allowed:.0%}; first: {reason}',
        )

    @classmethod
    def method_of(cls, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keywords of ``get_builder_from_protocol`` that say with what was labelled, not how well.

        By default those that are inputs of the same name.
        """
        free = {'candidates', 'protocol', 'overrides', 'options'}
        keywords = set(signature(cls.get_builder_from_protocol).parameters) - free
        return {key: _plain(inputs[key]) for key in sorted(keywords) if key in inputs}

    @classmethod
    def settings_of(cls, inputs: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
        """Return the settings of single points of some elements, to be compared with those of labels from elsewhere.

        :return: as in :mod:`aiida_prospect.methods.label_settings`; empty if there is nothing to compare.
        """
        return {}

    def screen_candidates(self) -> None:
        """Sort out what the method is not asked for."""
        outputs = screen_candidates(
            self.inputs.candidates, self.inputs.prechecks, metadata={'call_link_label': 'screen_candidates'}
        )
        self.ctx.screened = outputs['screened']
        self.ctx.accepted = outputs.get('accepted')
        n_accepted = len(self.ctx.accepted) if self.ctx.accepted else 0
        self.report(f'{n_accepted} of {len(self.inputs.candidates)} candidates pass the checks')

    def should_label(self) -> bool:
        """Tell whether there is something left to submit or to wait for."""
        raise NotImplementedError

    def label_candidates(self) -> Any:
        """Submit jobs."""
        raise NotImplementedError

    def collect_labels(self) -> Any:
        """Store the outputs of a calculation function as ``ctx.collected``, with ``labels`` and ``report``."""
        raise NotImplementedError

    def clean_folders(self) -> None:
        """Remove the folders of all jobs, as far as the policy says so; who called may do more, once this has ended."""
        self.clean_folders_of(self.node.called)

    def clean_folders_of(self, processes: Iterable[orm.ProcessNode]) -> None:
        """Remove the folders of jobs below processes that have ended; what cannot be done is reported."""
        for failure in clean_scratch(processes, ScratchPolicy(self.inputs.clean_workdir.value)).failures:
            self.report(failure)

    def inspect_labels(self) -> ExitCode | None:
        """Attach the labels and say whether there are enough of them."""
        collected: Mapping[str, orm.Data] = self.ctx.collected
        self.out('labels', collected['labels'])
        self.out('report', collected['report'])
        labels = self.ctx.collected['labels'].frames
        counts = count_by_status(labels)
        self.report('labels: ' + ', '.join(f'{number} {status}' for status, number in counts.items() if number))
        tried = len(labels) - counts[LabelStatus.REJECTED.value]
        failed = tried - counts[LabelStatus.OK.value]
        bad = np.flatnonzero(labels.known('status') != LabelStatus.OK.value)
        reason = labels.known('reason')[bad[0]] if len(bad) else ''
        if tried == failed:
            return self.exit_codes.ERROR_NO_LABELS.format(frames=len(labels), reason=reason)
        if failed > self.inputs.max_failed_fraction.value * tried:
            allowed = self.inputs.max_failed_fraction.value
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(
                failed=failed, tried=tried, allowed=allowed, reason=reason
            )
        return None
