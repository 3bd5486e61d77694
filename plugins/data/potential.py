"""A potential that a job can evaluate."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, BinaryIO

from aiida.common.exceptions import ValidationError
from aiida.orm import Data

from aiida_prospect.common.enums import Backend
from aiida_prospect.methods.formats import check_type_map

MODEL = 'model'
INITIAL = 'initial'
SUFFIXES = {Backend.TENSORFLOW: '.pb', Backend.PYTORCH: '.pth', Backend.POD: '.zip'}
CALCULATORS = 'aiida_prospect.calculators'
FILE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]*')


class PotentialData(Data):
    """A frozen model file, or the calculator of ASE that stands for one.

    The names of model files in the repository are always the same, so that equal models hash equal. A calculator may
    have files of its own, such as pseudopotentials, under the names by which its arguments call them.

    Attributes: ``backend``, ``architecture``, ``type_map``, ``cutoff`` (Å or ``None``), ``filename`` (in the
    repository, or ``None``), ``errors`` (on validation data, by name), ``metadata``, ``calculator`` and ``arguments``.
    Nodes are made by :meth:`from_files` and :meth:`from_calculator`.
    """

    @classmethod
    def from_files(
        cls,
        model: Path | str | BinaryIO,
        *,
        backend: Backend | str,
        type_map: Sequence[str],
        cutoff: float,
        initial: Path | str | BinaryIO | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> PotentialData:
        """Return a node with a model of DeePMD-kit or ML-POD.

        :param model: path or handle of the file to evaluate with: compressed, if there is one.
        :param type_map: element of each type of the model.
        :param cutoff: Å.
        :param initial: the frozen file that a training can start from, if it is another one.
        :param metadata: ``architecture`` (a name), ``errors`` (numbers by name) and whatever else is worth to be kept.
            It is part of the hash: what differs between equal trainings, as their seconds, does not belong here.
        :raises ValueError: if the backend has no files, a file is empty, the type map names no elements or a number
            is not positive.
        """
        metadata = dict(metadata or {})
        node = cls()
        node.base.attributes.set_many(
            {
                'backend': Backend(backend).value,
                'architecture': str(metadata.pop('architecture', '')),
                'type_map': list(type_map),
                'cutoff': float(cutoff),
                'filename': MODEL,
                'errors': {key: float(value) for key, value in dict(metadata.pop('errors', {})).items()},
                'metadata': metadata,
                'calculator': None,
                'arguments': {},
            }
        )
        for name, source in ((MODEL, model), (INITIAL, initial)):
            if source is not None:
                node.base.repository.put_object_from_filelike(io.BytesIO(_content(source)), name)
        node._check()
        return node

    @classmethod
    def from_calculator(
        cls,
        calculator: str,
        arguments: Mapping[str, Any] | None = None,
        elements: Sequence[str] = (),
        cutoff: float | None = None,
        files: Mapping[str, Path | str | BinaryIO] | None = None,
    ) -> PotentialData:
        """Return a node that stands for a calculator of ASE.

        :param calculator: dotted path of a function or class that makes one, ``module:factory`` or ``module.factory``,
            or the name of an entry point of the group ``aiida_prospect.calculators``. It must be importable on the
            compute side.
        :param arguments: of that function, by name; must be JSON.
        :param elements: that it knows.
        :param files: paths or handles of what it needs in the folder of the job, by their names there.
        :raises ValueError: if the name is unknown, there are no elements, the arguments are not JSON, or a file is
            empty or has a name that is none.
        """
        node = cls()
        node.base.attributes.set_many(
            {
                'backend': Backend.ASE.value,
                'architecture': '',
                'type_map': list(elements),
                'cutoff': None if cutoff is None else float(cutoff),
                'filename': None,
                'errors': {},
                'metadata': {},
                'calculator': resolve_calculator(calculator),
                'arguments': _plain_json(arguments or {}),
            }
        )
        for name, source in (files or {}).items():
            _check_name(name)
            node.base.repository.put_object_from_filelike(io.BytesIO(_content(source)), name)
        node._check()
        return node

    @property
    def program(self) -> Backend:
        """The program that evaluates it."""
        return Backend(self.base.attributes.get('backend'))

    @property
    def architecture(self) -> str:
        """Name of the descriptor or the like; may be empty."""
        return str(self.base.attributes.get('architecture'))

    @property
    def type_map(self) -> list[str]:
        """Element of each type."""
        return list(self.base.attributes.get('type_map'))

    @property
    def cutoff(self) -> float | None:
        """Å."""
        value = self.base.attributes.get('cutoff')
        return None if value is None else float(value)

    @property
    def errors(self) -> dict[str, float]:
        """Errors on validation data, by name."""
        return dict(self.base.attributes.get('errors'))

    @property
    def metadata(self) -> dict[str, Any]:
        """Whatever else was worth to be kept."""
        return dict(self.base.attributes.get('metadata'))

    @property
    def filename(self) -> str | None:
        """Name of the file in the repository, ``None`` if there is no file."""
        value = self.base.attributes.get('filename')
        return None if value is None else str(value)

    @property
    def suffix(self) -> str:
        """Ending that a file of the model must have for its program to recognise it; empty without a file."""
        return str(self.metadata.get('suffix', SUFFIXES.get(self.program, '')))

    @property
    def has_initial(self) -> bool:
        """Whether a training can start from another file than the one for evaluation."""
        return INITIAL in self.base.repository.list_object_names()

    @property
    def calculator_files(self) -> list[str]:
        """Names of the files that a calculator needs in the folder of the job."""
        return sorted(self.base.repository.list_object_names()) if self.program is Backend.ASE else []

    def spec(self, filename: str | None = None) -> dict[str, Any]:
        """Return what a runner needs to know, as JSON.

        :param filename: of the model in the folder of the job; for a calculator it is not used.
        :raises ValueError: if there is a model file but no name for it.
        """
        if self.filename is not None and not filename:
            raise ValueError('a potential with a model file needs a name for it in the folder of the job')
        return {
            'backend': self.program.value,
            'file': filename if self.filename is not None else None,
            'type_map': self.type_map,
            'cutoff': self.cutoff,
            'calculator': self.base.attributes.get('calculator'),
            'arguments': self.base.attributes.get('arguments'),
        }

    def write_model(self, target: Path | str | BinaryIO) -> None:
        """Write the model for evaluation.

        :param target: path or handle of a file.
        :raises ValueError: if there is none.
        """
        if self.filename is None:
            raise ValueError('a calculator of ASE has no model file')
        self._write(self.filename, target)

    def write_initial(self, target: Path | str | BinaryIO) -> None:
        """Write the model that a training can start from: the one for evaluation if there is no other.

        :param target: path or handle of a file.
        :raises ValueError: if there is none.
        """
        if self.has_initial:
            self._write(INITIAL, target)
        else:
            self.write_model(target)

    def _write(self, name: str, target: Path | str | BinaryIO) -> None:
        with self.base.repository.open(name, 'rb') as source:
            if isinstance(target, Path | str):
                with open(target, 'wb') as handle:
                    shutil.copyfileobj(source, handle)
            else:
                shutil.copyfileobj(source, target)

    def _validate(self) -> bool:
        """Check attributes and files.

        :raises ValidationError: with what does not fit.
        """
        super()._validate()
        try:
            self._check()
        except (ValueError, TypeError, AttributeError) as exception:
            raise ValidationError(str(exception)) from exception
        return True

    def _check(self) -> None:
        check_type_map(self.type_map)
        if not self.type_map:
            raise ValueError('a potential must know at least one element')
        bad = [name for name, value in self.errors.items() if not math.isfinite(value)]
        if bad:
            raise ValueError(f'the errors {bad} are not finite numbers')
        if self.cutoff is not None and not 0 < self.cutoff < math.inf:
            raise ValueError(f'the cut-off is {self.cutoff} Å, expected a positive number')
        files = {
            file.name: self.base.repository.get_object_size(file.name) for file in self.base.repository.list_objects()
        }
        if self.program is Backend.ASE:
            if not self.base.attributes.get('calculator') or self.filename is not None:
                raise ValueError('a potential of the backend `ase` has a calculator and no model file')
            for name, size in files.items():
                _check_name(name)
                if not size:
                    raise ValueError(f'the file `{name}` of the calculator is empty')
            return
        if self.cutoff is None:
            raise ValueError('the cut-off of a model file must be given')
        if MODEL not in files or not set(files) <= {MODEL, INITIAL} or not all(files.values()):
            raise ValueError(f'the files are {files} (bytes), expected `{MODEL}` and perhaps `{INITIAL}`, not empty')


def resolve_calculator(name: str) -> str:
    """Return ``module:factory`` for the name or dotted path of a factory of calculators, without importing it.

    On the compute side entry points are unknown, because the package is not installed there.

    :raises ValueError: if it is neither.
    """
    known = {entry.name: entry.value for entry in entry_points(group=CALCULATORS)}
    if name in known:
        return known[name]
    module, separator, factory = name.partition(':') if ':' in name else name.rpartition('.')
    if not separator or not all(part.isidentifier() for part in [*module.split('.'), *factory.split('.')]):
        raise ValueError(
            f'`{name}` is neither a path `module:factory` nor one of the calculators: {", ".join(sorted(known))}'
        )
    return f'{module}:{factory}'


def _check_name(name: str) -> None:
    if not FILE_NAME.fullmatch(name):
        raise ValueError(f'`{name}` is no name of a file of a calculator: letters, digits and `_.+-`, no folders')


def _content(source: Path | str | BinaryIO) -> bytes:
    return Path(source).read_bytes() if isinstance(source, Path | str) else source.read()


def _plain_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(arguments), allow_nan=False)))
    except (TypeError, ValueError) as exception:
        raise ValueError(f'the arguments {arguments} are not JSON: {exception}') from exception
