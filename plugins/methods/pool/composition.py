"""Chemical formulas as users type them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import reduce
from math import gcd

from ase.data import atomic_numbers

ADVICE = 'give a formula such as `Si8`, `NaCl`, `Al2O3` or `Ca(OH)2`'
_TOKEN = re.compile(r'([A-Z][a-z]?|\(|\))(\d*)')


def parse_composition(text: str) -> dict[str, int]:
    """Return the number of atoms of each element of a formula, in the order in which they appear.

    :raises ValueError: if the formula is empty or malformed, names an element that does not exist, or asks for no
        atoms of one.
    """
    formula = text.strip()
    levels: list[Counter[str]] = [Counter()]
    position = 0
    while position < len(formula):
        token = _TOKEN.match(formula, position)
        if token is None:
            raise ValueError(f'the formula `{formula}` cannot be read from `{formula[position:]}` on: {ADVICE}')
        symbol, digits = token.groups()
        if symbol == '(':
            levels.append(Counter())
            position += 1
            continue
        if symbol == ')' and len(levels) == 1:
            raise ValueError(f'the formula `{formula}` closes a bracket that it never opened: {ADVICE}')
        if digits and int(digits) == 0:
            raise ValueError(f'the formula `{formula}` asks for no atoms of `{symbol}`: leave it out, or {ADVICE}')
        group = levels.pop() if symbol == ')' else Counter({_known(symbol, formula): 1})
        for element, number in group.items():
            levels[-1][element] += number * int(digits or 1)
        position = token.end()
    if len(levels) > 1:
        raise ValueError(f'the formula `{formula}` opens a bracket that it never closes: {ADVICE}')
    if not levels[0]:
        raise ValueError(f'the formula `{formula}` has no atoms: {ADVICE}')
    return dict(levels[0])


def check_composition(composition: Mapping[str, int]) -> dict[str, int]:
    """Return a composition with plain integers.

    :raises ValueError: if it is empty, has unknown elements, or a number that is not a positive integer.
    """
    if not composition:
        raise ValueError(f'the composition has no atoms: {ADVICE}')
    for element, number in composition.items():
        _known(element, str(dict(composition)))
        if not isinstance(number, (int, float)) or int(number) != number or number < 1:
            raise ValueError(f'the composition has {number} atoms of {element}: give a positive integer')
    return {element: int(number) for element, number in composition.items()}


def reduce_composition(composition: Mapping[str, int]) -> dict[str, int]:
    """Return the composition of the smallest formula unit, elements in alphabetical order."""
    divisor = reduce(gcd, composition.values())
    return {element: composition[element] // divisor for element in sorted(composition)}


def format_composition(composition: Mapping[str, int]) -> str:
    """Return a composition as text, elements in the order given."""
    return ''.join(element + (str(number) if number > 1 else '') for element, number in composition.items())


def _known(symbol: str, formula: str) -> str:
    if atomic_numbers.get(symbol, 0) == 0:
        raise ValueError(f'`{symbol}` in `{formula}` is no chemical element: {ADVICE}')
    return symbol
