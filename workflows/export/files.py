"""Minima, labels and potentials of a search as files that need neither AiiDA nor this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from aiida import orm
from ase.io import write

from aiida_prospect.common.enums import Backend, LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.formats import FileFormat, write_frames
from aiida_prospect.methods.matching import MatchSettings, cif_text, structure_of
from aiida_prospect.workflows.export.archive import write_archive
from aiida_prospect.workflows.provenance.cycles import Cycle, lineage, load_cycles
from aiida_prospect.workflows.summary import summarise

README = """Result of search {pk} for {formula} ({uuid}).
{ending}

minima/       the minima, the lowest first. .vasp (POSCAR) and all in minima.extxyz: as they were relaxed, with the
              energies told; .cif: the conventional cell with its space group, atoms moved to where it has them, by
              {symprec:g} Å at most. ranking.json: energies, space groups, what each was compared with; eV and Å.
labels/       labels.extxyz: every structure that was labelled, with energy (eV), forces (eV/Å), stress (eV/Å³, positive
              under tension) and, per frame, status and reason; deepmd: those that are `ok`, for DeePMD-kit and dpdata.
potentials/   the last ensemble; potentials.json tells the program, the elements and the cut-off (Å) of each.
              .pb and .pth: DeePMD-kit (`DP('potential_00.pb')` in ASE, `pair_style deepmd` in LAMMPS);
              .zip: ML-POD, unpacked beside it: `include potential.lmp` in that folder in LAMMPS, metal units.
summary.json  cycles, labels, costs, settings.
{archives}
"""
ARCHIVES = {
    'result.aiida': 'minima, labels and potentials as AiiDA nodes: `verdi archive import result.aiida`',
    'provenance.aiida': 'the search, what it takes up, every calculation: `aiida-prospect show`, `why` work on it',
}


def export_search(search: orm.WorkChainNode, folder: Path, provenance: bool = False) -> list[Path]:
    """Write what a search has given so far.

    :param folder: is made, and must be empty if it is there; nothing is in it until all has been written.
    :param provenance: also write an archive of AiiDA with the search, those that it takes up and all that they called.
    :return: the paths of what was written at the top of the folder.
    :raises FileExistsError: if there is something in the folder.
    :raises ValueError: if the process is no search, or with ``provenance`` one that still runs or takes up such a one.
    """
    cycles = load_cycles(search)
    running = [node.pk for node in lineage(search) if not node.is_terminated]
    if provenance and running:
        raise ValueError(f'search {running[0]} still runs: its provenance can be exported when it has ended')
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f'`{folder}` is not empty')
    home = folder.resolve()
    home.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'.{home.name}-', dir=home.parent) as unfinished:
        _write(search, cycles, Path(unfinished), provenance)
        home.mkdir(exist_ok=True)
        for path in Path(unfinished).iterdir():
            path.rename(home / path.name)
    return sorted(folder.iterdir())


def _write(search: orm.WorkChainNode, cycles: Mapping[int, Cycle], folder: Path, provenance: bool) -> None:
    write_minima(search, folder / 'minima')
    write_labels(cycles, folder / 'labels')
    write_potentials(last_potentials(cycles), folder / 'potentials')
    summary = summarise(search)
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2))
    archives = [write_archive(search, cycles, folder / 'result.aiida')]
    if provenance:
        archives.append(write_archive(search, cycles, folder / 'provenance.aiida', everything=True))
    words = '\n'.join(f'{path.name}: {ARCHIVES[path.name]}' for path in archives if path is not None)
    ending = summary['stop']['sentence'] if summary['stop'] else f'The search is {summary["state"]}.'
    formula = ''.join(f'{element}{count}' for element, count in summary['composition'].items())
    values = {'pk': search.pk, 'uuid': search.uuid, 'formula': formula, 'ending': ending, 'archives': words}
    values['symprec'] = symprec_of(search)
    (folder / 'README.txt').write_text(README.format(**values), encoding='utf8')


def write_minima(search: orm.WorkChainNode, folder: Path) -> None:
    """Write the minima in the formats that most programs read; nothing if there are none yet."""
    if 'minima' not in search.outputs:
        return
    folder.mkdir()
    frames = search.outputs.minima.frames
    for rank, atoms in enumerate(frames.to_atoms()):
        stem = folder / f'minimum_{rank:02d}'
        crystal = structure_of(frames[rank].without('energy', 'forces', 'stress'))
        stem.with_suffix('.cif').write_text(cif_text(crystal, symprec_of(search)))
        write(stem.with_suffix('.vasp'), atoms, format='vasp', direct=True, sort=True)
    write_frames(frames, folder / 'minima.extxyz')
    (folder / 'ranking.json').write_text(json.dumps(search.outputs.ranking.get_dict(), indent=2))


def symprec_of(search: orm.WorkChainNode) -> float:
    """Return within how many Å the search has looked for the symmetry of its minima."""
    return MatchSettings.from_dict(search.inputs.parameters['ranking']).symprec


def write_labels(cycles: Mapping[int, Cycle], folder: Path) -> None:
    """Write all labels of all cycles; nothing if there are none yet."""
    sets = [frames for cycle in cycles.values() if (frames := cycle.frames('labels')) is not None]
    if not sets:
        return
    labels = Frames.concatenate(sets)
    write_frames(labels, folder / 'labels.extxyz')
    usable = labels.select(labels.known('status') == LabelStatus.OK.value)
    if len(usable):
        write_frames(usable, folder / 'deepmd', FileFormat.DEEPMD.value)


def last_potentials(cycles: Mapping[int, Cycle]) -> dict[str, PotentialData]:
    """Return the last ensemble that was trained, by name."""
    trained = [cycle.outputs['potentials'] for cycle in cycles.values() if 'potentials' in cycle.outputs]
    return dict(sorted(trained[-1].items())) if trained else {}


def write_potentials(potentials: Mapping[str, PotentialData], folder: Path) -> None:
    """Write models, and what one needs to know to use them."""
    if not potentials:
        return
    folder.mkdir()
    told = {}
    for name, node in potentials.items():
        path = folder / f'{name}{node.suffix}'
        if node.filename is not None:
            node.write_model(path)
        if node.program is Backend.POD:
            with ZipFile(path) as archive:
                archive.extractall(folder / name)
        told[name] = {
            **node.spec(path.name),
            'architecture': node.architecture,
            'errors': node.errors,
            'uuid': node.uuid,
        }
    (folder / 'potentials.json').write_text(json.dumps(told, indent=2))
