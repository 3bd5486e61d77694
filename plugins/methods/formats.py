"""Reading and writing of frames in the formats of other programs.

What a format holds, besides numbers, positions and cells:

====================  ==========================================================================================
``extxyz``            every field, as decimal numbers that read back to the last bit.
``ase-db``            every field; what the calculator of ASE cannot hold is in ``data``.
``deepmd/npy``        energies, forces, virials; the other fields and the order of the frames in arrays of our own,
                      which DeePMD-kit does not look at. Only labelled frames, or frames without labels at all.
``deepmd/npy/mixed``  the same, with frames of different composition in one system.
====================  ==========================================================================================

Elements are matched by name everywhere. A type map that is asked for is written as it is, never sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase.data import chemical_symbols

from aiida_prospect.common.enums import Choice
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.formats_ase import read_ase_db, read_extxyz, write_ase_db, write_extxyz
from aiida_prospect.methods.formats_deepmd import read_deepmd, write_deepmd


class FileFormat(Choice):
    """A format of files of frames."""

    EXTXYZ = 'extxyz'
    ASE_DB = 'ase-db'
    DEEPMD = 'deepmd/npy'
    DEEPMD_MIXED = 'deepmd/npy/mixed'


SUFFIXES = {'.extxyz': FileFormat.EXTXYZ, '.xyz': FileFormat.EXTXYZ, '.db': FileFormat.ASE_DB}


def read_frames(path: Path | str, format: str | None = None, type_map: Sequence[str] | None = None) -> Frames:
    """Read frames.

    :param path: a file, or the folder above systems of DeePMD-kit.
    :param format: a :class:`FileFormat`; by default told from the ending of the file.
    :param type_map: the elements that may occur. A folder of DeePMD-kit with a type map of its own is read by the names
        in that, in whatever order; one without gets its names from here.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the format is unknown, an element is not in the type map, a structure is not periodic, or
        what is read does not make frames.
    """
    path = Path(path)
    chosen = file_format(path, format)
    if not path.exists():
        raise FileNotFoundError(f'`{path}` does not exist')
    if type_map is not None:
        check_type_map(type_map)
    if chosen in (FileFormat.DEEPMD, FileFormat.DEEPMD_MIXED):
        frames = read_deepmd(path, type_map)
    else:
        frames = {FileFormat.EXTXYZ: read_extxyz, FileFormat.ASE_DB: read_ase_db}[chosen](path)
    if type_map is not None:
        check_type_map(type_map, frames.elements)
    return frames


def write_frames(
    frames: Frames, path: Path | str, format: str | None = None, type_map: Sequence[str] | None = None
) -> None:
    """Write frames.

    :param path: a file, or a folder for the systems of DeePMD-kit; must not exist, but the folder may be there, empty.
    :param format: a :class:`FileFormat`; by default told from the ending of the file.
    :param type_map: the elements that may occur; in data for DeePMD-kit, type ``i`` is ``type_map[i]``. By default the
        elements present, by atomic number.
    :raises FileExistsError: if something is there already.
    :raises ValueError: if the format is unknown, an element is not in the type map or, for DeePMD-kit, a frame is not
        labelled or has a status other than ``ok``.
    """
    path = Path(path)
    chosen = file_format(path, format)
    types = list(frames.elements if type_map is None else type_map)
    check_type_map(types, frames.elements)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f'`{path}` exists already')
    path.parent.mkdir(parents=True, exist_ok=True)
    if chosen in (FileFormat.DEEPMD, FileFormat.DEEPMD_MIXED):
        write_deepmd(frames, path, types, mixed=chosen is FileFormat.DEEPMD_MIXED)
    else:
        {FileFormat.EXTXYZ: write_extxyz, FileFormat.ASE_DB: write_ase_db}[chosen](frames, path)


def file_format(path: Path, format: str | None) -> FileFormat:
    """Return the format that was named or, if none was, that the ending of a file stands for.

    :raises ValueError: if it is unknown.
    """
    known = ', '.join(FileFormat)
    if format is None:
        if path.suffix not in SUFFIXES:
            raise ValueError(f'the format of `{path.name}` cannot be told from its name; choose one of: {known}')
        return SUFFIXES[path.suffix]
    try:
        return FileFormat(format)
    except ValueError as exception:
        raise ValueError(f'`{format}` is no format of frames; choose one of: {known}') from exception


def check_type_map(type_map: Sequence[str], elements: Sequence[str] = ()) -> None:
    """Refuse a type map that is no list of distinct elements or that lacks one.

    :param elements: that must be in it.
    :raises ValueError: with the name of the element.
    """
    for symbol in type_map:
        if symbol not in chemical_symbols[1:]:
            raise ValueError(f'`{symbol}` in the type map {list(type_map)} is no element')
    if len(set(type_map)) != len(type_map):
        raise ValueError(f'the type map {list(type_map)} names an element twice')
    missing = [symbol for symbol in elements if symbol not in type_map]
    if missing:
        raise ValueError(f'{", ".join(missing)} not in the type map {list(type_map)}')
