"""Keywords of pw.x that were misspelt, before the program is asked."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

# The latest description that comes with aiida-quantumespresso.
DESCRIPTION = 'INPUT_PW-6.4.xml'
HOLDERS = ('var', 'dimension', 'multidimension')
# Keywords that are newer than the description differ more from the older ones, misspelt ones less.
SIMILARITY = 0.85


def check_keywords(parameters: Mapping[str, Any]) -> None:
    """Refuse keywords in the wrong namelist, and those that are almost the name of another.

    What is like no known keyword may be newer, and is left to pw.x.

    :param parameters: keywords and values by namelist.
    :raises ValueError: with the right namelist or keyword.
    """
    known = _keywords()
    for namelist, values in parameters.items():
        mine = known.get(namelist.upper(), ())
        for keyword in values if mine else ():
            name = keyword.lower().partition('(')[0]
            others = [other for other, names in known.items() if name in names]
            close = get_close_matches(name, mine, 1, SIMILARITY)
            if name not in mine and others:
                raise ValueError(f'`{keyword}` is a keyword of {others[0]}, it is given in {namelist}')
            if name not in mine and close:
                raise ValueError(f'pw.x has no keyword `{keyword}` in {namelist}; did you mean `{close[0]}`?')


@cache
def _keywords() -> dict[str, tuple[str, ...]]:
    """Return the keywords of each namelist, in lower case."""
    description = files('aiida_quantumespresso.calculations.helpers').joinpath(DESCRIPTION)
    namelists = ElementTree.fromstring(description.read_text()).iter('namelist')
    return {
        namelist.get('name', ''): tuple(
            name.lower() for item in namelist.iter() if item.tag in HOLDERS and (name := item.get('name'))
        )
        for namelist in namelists
    }
