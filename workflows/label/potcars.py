"""Families of POTCARs, as aiida-vasp stores them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.common import exceptions
from aiida.plugins import DataFactory

FAMILIES = {'type_string': 'vasp.potcar'}
ENMAX = re.compile(r'ENMAX\s*=\s*([\d.]+)')


def known_families() -> list[str]:
    """Return the labels of all families."""
    labels: list[str] = orm.QueryBuilder().append(orm.Group, filters=FAMILIES, project='label').all(flat=True)
    return sorted(labels)


def find_potcars(family: str, elements: Iterable[str], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Return the POTCAR of each element.

    :param mapping: names of POTCARs by element; an element that it lacks has a POTCAR of its own name.
    :raises ValueError: if the family or a POTCAR is missing, with what there is.
    """
    if family not in known_families():
        known = ', '.join(known_families()) or 'none'
        raise ValueError(
            f'there is no family of POTCARs `{family}`; uploaded: {known}. To upload one '
            'from your licensed files: `aiida-vasp potcar uploadfamily --path FOLDER --name LABEL --description TEXT`'
        )
    members = orm.QueryBuilder().append(orm.Group, filters={**FAMILIES, 'label': family}, tag='family')
    members.append(DataFactory('vasp.potcar'), with_group='family')
    by_name = {potcar.full_name: potcar for potcar in members.all(flat=True)}
    found = {}
    for element in sorted(elements):
        name = mapping.get(element, element)
        if name not in by_name:
            others = sorted(key for key, potcar in by_name.items() if potcar.element == element)
            advice = 'choose one with `potential_mapping`' if others else 'upload one, or take another family'
            raise ValueError(
                f'the family `{family}` has no POTCAR `{name}` for {element}; for {element} it has '
                f'{", ".join(others) or "none"}: {advice}'
            )
        if by_name[name].element != element:
            raise ValueError(f'`potential_mapping` gives {element} the POTCAR `{name}` of {by_name[name].element}')
        found[element] = by_name[name]
    return found


def largest_enmax(potcars: Mapping[str, Any]) -> float:
    """Return the largest cut-off that POTCARs ask for, eV.

    :raises ValueError: if one does not say.
    """
    cutoffs = []
    for element, potcar in potcars.items():
        try:
            said = ENMAX.search(potcar.get_content().decode())
        except exceptions.NotExistent as exception:
            raise ValueError(
                f'the file of the POTCAR `{potcar.full_name}` of {element} is not in this profile: upload it here'
            ) from exception
        if said is None:
            raise ValueError(f'the POTCAR `{potcar.full_name}` of {element} does not tell ENMAX: give `encut` yourself')
        cutoffs.append(float(said.group(1)))
    return max(cutoffs)
