"""Stands in for VASP, which has a licence: reads INCAR, KPOINTS, POSCAR and POTCAR and writes what VASP writes.

The physics is a Lennard-Jones crystal that does not know the elements. Its energy is the free energy; the "electronic
entropy" is SIGMA by the volume, so that the energies that VASP tells have different derivatives. ``VASP_STAND_IN``
makes it fail as VASP does, by the number of atoms: ``4=nelm 6=unfinished 8=crash``; ``once=crash`` fails until
``VASP_STAND_IN_MARKER`` is there.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS

KBAR = 1602.176634
BANNER = ' vasp.6.3.0 20Jan22 (stand-in) complex\n'
STARTED = time.perf_counter()


def read_incar():
    pairs = (line.split('#')[0].split('=', 1) for line in Path('INCAR').read_text().splitlines() if '=' in line)
    return {key.strip().upper(): value.strip() for key, value in pairs}


def read_titles(atoms):
    """Return the titles of the POTCARs, one for each block of atoms."""
    titles = [line.split('=')[1].strip() for line in Path('POTCAR').read_text().splitlines() if 'TITEL' in line]
    symbols = atoms.get_chemical_symbols()
    blocks = [symbol for i, symbol in enumerate(symbols) if i == 0 or symbols[i - 1] != symbol]
    elements = [title.split()[1].partition('_')[0] for title in titles]
    assert elements == blocks, f'POTCAR is for {elements}, POSCAR has {blocks}'
    return titles, np.cumsum([i == 0 or symbols[i - 1] != symbol for i, symbol in enumerate(symbols)])


def failure_of(atoms):
    modes = dict(item.split('=') for item in os.environ.get('VASP_STAND_IN', '').split())
    marker = os.environ.get('VASP_STAND_IN_MARKER', '')
    if 'once' in modes and not Path(marker).exists():
        Path(marker).touch()
        return modes['once']
    return modes.get(str(len(atoms)), '')


def relax(atoms, steps):
    """Yield the structures of the steps of a relaxation of positions and cell."""
    yield atoms.copy()
    for _ in BFGS(FrechetCellFilter(atoms), logfile=None).irun(fmax=0.02, steps=steps - 1):
        yield atoms.copy()


def varray(name, rows):
    lines = ''.join(f'   <v> {" ".join(f"{x:16.8f}" for x in row)} </v>\n' for row in rows)
    return f'  <varray name="{name}" >\n{lines}  </varray>\n'


def structure(atoms, name=''):
    cell, attribute = atoms.cell, f' name="{name}"' if name else ''
    crystal = varray('basis', cell.array) + f'   <i name="volume"> {atoms.get_volume():.8f} </i>\n'
    crystal += varray('rec_basis', cell.reciprocal().array)
    positions = varray('positions', atoms.get_scaled_positions(wrap=False))
    return f' <structure{attribute} >\n  <crystal>\n{crystal}  </crystal>\n{positions} </structure>\n'


def energies(free, entropy):
    """Return the block with the free energy, that without entropy and that extrapolated to no smearing."""
    values = {'e_fr_energy': free, 'e_wo_entrp': free + entropy, 'e_0_energy': free + entropy / 2}
    return (
        '<energy>\n' + ''.join(f'    <i name="{key}"> {x:.8f} </i>\n' for key, x in values.items()) + '   </energy>\n'
    )


def calculation(atoms, iterations, entropy, *, is_last):
    # VASP tells the bands of the last structure only.
    bands = BANDS if is_last else ''
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    kbar = -KBAR * atoms.get_stress(voigt=False)
    block = energies(energy, entropy)
    steps = iterations * f'  <scstep>\n   <time name="total"> 0.1 0.1</time>\n   {block}  </scstep>\n'
    numbers = structure(atoms) + varray('forces', forces) + varray('stress', kbar) + f'  {block}'
    return f' <calculation>\n{steps}{numbers}  <time name="totalsc"> 1.0 1.0</time>\n{bands} </calculation>\n'


BANDS = (
    '  <eigenvalues>\n   <array>\n    <dimension dim="1">band</dimension>\n    <dimension dim="2">kpoint</dimension>\n'
    '    <dimension dim="3">spin</dimension>\n    <field>eigene</field>\n    <field>occ</field>\n    <set>\n'
    '     <set comment="spin 1">\n      <set comment="kpoint 1">\n       <r> -6.0 1.0 </r>\n       <r> 3.0 0.0 </r>\n'
    '      </set>\n     </set>\n    </set>\n   </array>\n  </eigenvalues>\n'
    '  <dos>\n   <i name="efermi"> 0.0 </i>\n  </dos>\n'
)


def tag(key, value):
    if value.strip('.').upper() in ('TRUE', 'FALSE', 'T', 'F'):
        return f'  <i type="logical" name="{key}"> {value.strip(".")[0].upper()}</i>\n'
    try:
        float(value)
    except ValueError:
        return f'  <i type="string" name="{key}"> {value}</i>\n'
    kind = '' if '.' in value or 'e' in value.lower() else 'type="int" '
    return f'  <i {kind}name="{key}"> {value}</i>\n'


def header(incar, parameters, atoms, titles, types):
    divisions = ' '.join(Path('KPOINTS').read_text().splitlines()[3].split()[:3])
    symbols = atoms.get_chemical_symbols()
    ions = ''.join(f'    <rc><c>{s:2s}</c><c>{t:4d}</c></rc>\n' for s, t in zip(symbols, types, strict=True))
    kinds = ''
    for number, title in enumerate(titles, start=1):
        owned = [symbol for symbol, kind in zip(symbols, types, strict=True) if kind == number]
        kinds += f'    <rc><c>{len(owned):4d}</c><c>{owned[0]:2s}</c><c> 1.0</c><c> 4.0</c><c> {title} </c></rc>\n'
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n  <i name="version" type="string">6.3.0  </i>\n'
        '  <i name="subversion" type="string">(stand-in) </i>\n </generator>\n'
        f' <incar>\n{"".join(tag(*item) for item in incar.items())} </incar>\n'
        ' <kpoints>\n  <generation param="Gamma">\n'
        f'   <v type="int" name="divisions"> {divisions} </v>\n  </generation>\n'
        f'{varray("kpointlist", [[0, 0, 0]])}{varray("weights", [[1]])} </kpoints>\n'
        f' <parameters>\n <separator name="electronic" >\n{"".join(tag(*item) for item in parameters.items())}'
        ' </separator>\n </parameters>\n <atominfo>\n'
        f'  <atoms> {len(atoms)} </atoms>\n  <types> {len(titles)} </types>\n'
        '  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n   <field type="string">element</field>\n'
        f'   <field type="int">atomtype</field>\n   <set>\n{ions}   </set>\n  </array>\n  <array name="atomtypes" >\n'
        '   <dimension dim="1">type</dimension>\n   <field type="int">atomspertype</field>\n'
        '   <field type="string">element</field>\n   <field>mass</field>\n   <field>valence</field>\n'
        f'   <field type="string">pseudopotential</field>\n   <set>\n{kinds}   </set>\n  </array>\n </atominfo>\n'
    )


def outcar(nelm, nsw, ibrion, n_steps, iterations, finished):
    lines = [
        BANNER,
        f'   NELM   = {nelm:6d};   NELMIN=  4; NELMDL= -5     # of ELM steps\n',
        f'   NSW    = {nsw:6d}    number of steps for IOM\n',
        f'   IBRION = {ibrion:6d}    ionic relax: 0-MD 1-quasi-New 2-CG\n',
        '   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands NBANDS=      2\n',
    ]
    for step in range(1, n_steps + 1):
        lines += [f'--------- Iteration {step:6d}({i:4d})  ---------\n' for i in range(1, iterations + 1)]
    if finished:
        lines += [
            ' General timing and accounting informations for this job:\n ====================\n\n',
            f'                         Elapsed time (sec): {time.perf_counter() - STARTED:12.3f}\n\n',
            '                   Maximum memory used (kb):       52000.\n',
            '                   Average memory used (kb):          0.\n',
        ]
    return ''.join(lines)


def main():
    incar, atoms = read_incar(), read('POSCAR', format='vasp')
    titles, types = read_titles(atoms)
    failure = failure_of(atoms)
    print(' running on    1 total cores')
    print(BANNER, end='')
    if failure == 'crash':
        print(' internal error in subroutine IBZKPT:')
        return 1
    write('CONTCAR', atoms, format='vasp', direct=True)
    atoms.calc = LennardJones(sigma=2.2, epsilon=0.3, rc=4.4, smooth=True)
    nelm, nsw, ibrion = (int(incar.get(key, default)) for key, default in (('NELM', 60), ('NSW', 0), ('IBRION', -1)))
    iterations = nelm if failure == 'nelm' else 12
    defaults = {
        'NELM': nelm,
        'NSW': nsw,
        'IBRION': ibrion,
        'ISIF': 2,
        'ISPIN': 1,
        'ISMEAR': 0,
        'NBANDS': 2,
        'EDIFF': 1e-6,
    }
    parameters = {**{key: str(value) for key, value in defaults.items()}, **incar}
    moved = atoms.copy()
    moved.calc = atoms.calc
    steps = list(relax(moved, nsw)) if ibrion > 0 and nsw > 0 else [atoms.copy()]
    xml = header(incar, parameters, atoms, titles, types) + structure(atoms, 'initialpos')
    for step in steps:
        step.calc = atoms.calc
        entropy = step.get_volume() * float(incar.get('SIGMA', 0.2))
        xml += calculation(step, iterations, entropy, is_last=step is steps[-1])
    xml += structure(steps[-1], 'finalpos') + '</modeling>\n'
    finished = failure != 'unfinished'
    Path('vasprun.xml').write_text(xml if finished else xml[: 3 * len(xml) // 4])
    Path('OUTCAR').write_text(outcar(nelm, nsw, ibrion, len(steps), iterations, finished))
    write('CONTCAR', steps[-1], format='vasp', direct=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
