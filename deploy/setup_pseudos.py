"""Register a folder of UPF pseudopotentials with their cut-offs, and print the label of the family."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

from aiida import load_profile
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

# From Debian's `quantum-espresso-data`: norm-conserving, PBE, soft. The lattice constant of silicon is 5.487 Å at 15 Ry
# and 5.477 Å from 20 to 40 Ry (6 × 6 × 6 points); the pressure moves by 1.2 GPa from 20 to 25 Ry, by 0.1 GPa beyond.
DEBIAN_FOLDER = Path('/usr/share/espresso/pseudo')
DEBIAN_FILES = {'Si': 'Si.pbe-rrkj.UPF'}
DEBIAN_CUTOFFS = {'Si': {'cutoff_wfc': 25.0, 'cutoff_rho': 100.0}}
HOW_TO_GIVE_CUTOFFS = (
    'give them with `--cutoffs FILE`, a JSON file like {"Si": {"cutoff_wfc": 40, "cutoff_rho": 200}}, in Ry'
)
HOW_TO_GET_PSEUDOS = (
    'Give a folder with UPF files (`--pseudos FOLDER`), or download a library (`source .prospect/activate` and '
    '`aiida-pseudo install sssp -v 1.3 -x PBE`) and name it: `--pseudos SSSP/1.3/PBE/efficiency`'
)


def ensure_family(folder: Path, files: dict[str, Path], cutoffs: dict[str, dict[str, float]]) -> str:
    """Return the label of the family of these files and cut-offs, which is made if there is none.

    :param files: by element.
    :param cutoffs: by element, ``cutoff_wfc`` and ``cutoff_rho`` in Ry.
    :raises SystemExit: if an element has no cut-off.
    """
    missing = sorted(set(files) - set(cutoffs))
    if missing:
        raise SystemExit(f'no cut-offs for {", ".join(missing)}: {HOW_TO_GIVE_CUTOFFS}')
    content = hashlib.sha256(json.dumps(cutoffs, sort_keys=True).encode())
    for element in sorted(files):
        content.update(files[element].read_bytes())
    label = f'{folder.name}-{content.hexdigest()[:8]}'
    if not CutoffsPseudoPotentialFamily.collection.find({'label': label}):
        with tempfile.TemporaryDirectory() as name:
            for element, path in files.items():
                shutil.copy(path, Path(name) / f'{element}.upf')
            family = CutoffsPseudoPotentialFamily.create_from_folder(Path(name), label, pseudo_type=UpfData)
        family.set_cutoffs({element: cutoffs[element] for element in files}, 'normal', unit='Ry')
    return label


def upf_files(folder: Path) -> dict[str, Path]:
    """Return the pseudopotential of each element in a folder with one for each.

    :raises SystemExit: if there is none, or more than one for an element.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == '.upf':
            element = UpfData(path.open('rb')).element
            if element in files:
                raise SystemExit(f'{folder} has two files for {element}: {files[element].name} and {path.name}')
            files[element] = path
    if not files:
        raise SystemExit(f'{folder} has no files *.upf')
    return files


def find_cutoffs(folder: Path, given: Path | None) -> dict[str, dict[str, float]]:
    """Return the cut-offs by element, from a JSON file.

    :raises SystemExit: if no file is given and the folder, or the one above, has none or more than one; if it is no
        JSON.
    """
    candidates = [given] if given else sorted([*folder.glob('*.json'), *folder.parent.glob('cutoffs*.json')])
    if len(candidates) != 1:
        found = ', '.join(path.name for path in candidates) or 'none'
        raise SystemExit(f'which cut-offs belong to {folder}? Say so with `--cutoffs FILE`; found: {found}')
    try:
        content = json.loads(candidates[0].read_text())
    except ValueError as error:
        raise SystemExit(f'{candidates[0]} is no JSON: {error}; {HOW_TO_GIVE_CUTOFFS}') from error
    return content.get('normal', content)


def main() -> None:
    """Register the family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--folder', type=Path, help='with one UPF file per element; by default that of Debian for silicon'
    )
    parser.add_argument('--formula', default='', help='refuse if an element of it has no pseudopotential')
    parser.add_argument('--cutoffs', type=Path, help='JSON file, element → cutoff_wfc and cutoff_rho in Ry')
    arguments = parser.parse_args()
    load_profile()
    if arguments.folder:
        folder = arguments.folder.resolve()
        files, cutoffs = upf_files(folder), find_cutoffs(folder, arguments.cutoffs)
    else:
        folder, cutoffs = Path('rrkj-PBE'), DEBIAN_CUTOFFS
        files = {element: DEBIAN_FOLDER / name for element, name in DEBIAN_FILES.items()}
        if not all(path.is_file() for path in files.values()):
            raise SystemExit(f'{DEBIAN_FOLDER} is not there: install `quantum-espresso-data`. {HOW_TO_GET_PSEUDOS}')
    missing = sorted(set(re.findall('[A-Z][a-z]?', arguments.formula)) - set(files))
    if missing:
        raise SystemExit(f'no pseudopotential for {", ".join(missing)} in {folder}. {HOW_TO_GET_PSEUDOS}')
    print(ensure_family(folder, files, cutoffs))


if __name__ == '__main__':
    main()
