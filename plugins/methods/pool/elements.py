"""How much room atoms need, from elemental data, so that a user need not say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from math import pi

from ase.data import atomic_numbers, covalent_radii
from pymatgen.core import Composition, Element

# Difference of Pauling electronegativities from which a compound counts as ionic; it parts ZnS (0.93) from SiC (0.65).
IONIC_DIFFERENCE = 0.85
# Ionic spheres over crystal volume; 0.46 in quartz, 0.58 in rock salt, 0.65 in corundum.
IONIC_PACKING = 0.58
CUBIC_ANGSTROM_PER_CM3_PER_MOL = 1 / 0.602214076
# The molar volume of carbon is that of graphite, whose layers are far apart; this is diamond.
DIAMOND = 5.67


def ionic_radii(composition: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return charge and Shannon's crystal radius of the ions of a compound, empty if it is not an ionic one.

    Charges are pymatgen's most frequent ones that are neutral together; radii are those of the nearest tabulated
    charge of the same sign (R. D. Shannon, Acta Cryst. A 32, 751 (1976), by way of pymatgen).

    :return: by element, charge in e and radius in Å.
    """
    electronegativities = [Element(symbol).X for symbol in composition]
    if max(electronegativities) - min(electronegativities) < IONIC_DIFFERENCE:
        return {}
    guesses = Composition(dict(composition)).reduced_composition.oxi_state_guesses()
    charges: Mapping[str, float] = guesses[0] if guesses else {}
    ions = {}
    for symbol in composition:
        charge = charges.get(symbol, 0.0)
        known = {float(state): float(r) for state, r in Element(symbol).ionic_radii.items() if state * charge > 0}
        if not known:
            return {}
        ions[symbol] = (charge, max(known[min(known, key=lambda state: abs(state - charge))], 0.0))
    return ions


def volume_per_atom(composition: Mapping[str, int]) -> float:
    """Estimate the volume of a crystal.

    Ionic compounds: spheres of Shannon's radii that fill 58 % of the space. All others: the sum of the elements' own
    volumes (pymatgen's molar volumes). Within about 25 % of experiment for elements, ionic and covalent compounds and
    alloys; more for dense compounds of light elements (cubic BN).

    :return: Å³.
    """
    ions = ionic_radii(composition)
    if ions:
        total = (
            sum(number * 4 / 3 * pi * ions[symbol][1] ** 3 for symbol, number in composition.items()) / IONIC_PACKING
        )
    else:
        total = sum(number * elemental_volume(symbol) for symbol, number in composition.items())
    return total / sum(composition.values())


def elemental_volume(symbol: str) -> float:
    """Return the volume of an atom in the solid or liquid element, Å³.

    :raises ValueError: if it is not known.
    """
    if symbol == 'C':
        return DIAMOND
    molar = Element(symbol).molar_volume
    if molar is None:
        raise ValueError(f'no molar volume is known for {symbol}: give `volume_per_atom` in Å³')
    return float(molar) * CUBIC_ANGSTROM_PER_CM3_PER_MOL


def min_distances(composition: Mapping[str, int], scale: float) -> dict[tuple[str, str], float]:
    """Estimate how near atoms may come.

    A fraction of the sum of covalent radii (B. Cordero et al., Dalton Trans. 2832 (2008), by way of ASE) or, for ions
    of equal sign, of ionic radii where that is more.

    :param scale: the fraction.
    :return: by pair of elements in alphabetical order, Å.
    """
    ions = ionic_radii(composition)
    result = {}
    for a, b in combinations_with_replacement(sorted(composition), 2):
        contact = float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])
        if ions and ions[a][0] * ions[b][0] > 0:
            contact = max(contact, ions[a][1] + ions[b][1])
        result[a, b] = scale * contact
    return result
