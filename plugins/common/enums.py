"""Choices that are stored or typed by users."""

from enum import Enum


class Choice(str, Enum):
    """A choice whose value is what is stored in the database and typed by users."""

    def __str__(self) -> str:
        return str(self.value)


class LabelStatus(Choice):
    """What became of a frame that was to be labelled."""

    OK = 'ok'
    UNCONVERGED = 'unconverged'
    FAILED = 'failed'
    REJECTED = 'rejected'


class LabelTask(Choice):
    """What the reference method does with a frame."""

    SINGLE_POINT = 'single_point'
    RELAX = 'relax'


class RelaxStatus(Choice):
    """Why the relaxation of a frame ended."""

    CONVERGED = 'converged'
    UNCERTAIN = 'uncertain'
    NO_PROGRESS = 'no_progress'
    MAX_STEPS = 'max_steps'
    UNPHYSICAL = 'unphysical'
    UNFINISHED = 'unfinished'


class Optimizer(Choice):
    """How the steps of a relaxation are chosen."""

    LBFGS = 'lbfgs'
    FIRE = 'fire'


class Backend(Choice):
    """Program that evaluates a potential."""

    TENSORFLOW = 'tensorflow'
    PYTORCH = 'pytorch'
    POD = 'pod'
    ASE = 'ase'


class StopReason(Choice):
    """Why a search ended."""

    CONVERGED = 'converged'
    MAX_LABELS = 'max_labels'
    MAX_CYCLES = 'max_cycles'
    MAX_CORE_HOURS = 'max_core_hours'


class JobLoss(Choice):
    """Why a job ended before its work was done, without any fault of the work."""

    WALL_TIME = 'wall time over'
    MEMORY = 'out of memory'
    NODE = 'failure of the machine'
    SILENT = 'ended without a word'


class ScratchPolicy(Choice):
    """Which folders of ended jobs stay on the computers where they ran."""

    KEEP_FAILED = 'keep failed'
    KEEP_NONE = 'keep none'
    KEEP_ALL = 'keep all'
