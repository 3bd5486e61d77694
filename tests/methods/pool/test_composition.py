import pytest

from aiida_prospect.methods.pool.composition import (
    check_composition,
    format_composition,
    parse_composition,
    reduce_composition,
)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('Si8', {'Si': 8}),
        (' NaCl ', {'Na': 1, 'Cl': 1}),
        ('Na4Cl4', {'Na': 4, 'Cl': 4}),
        ('Al2O3', {'Al': 2, 'O': 3}),
        ('Ca(OH)2', {'Ca': 1, 'O': 2, 'H': 2}),
        ('((Si2)2O)3', {'Si': 12, 'O': 3}),
        ('CH3CH3', {'C': 2, 'H': 6}),
    ],
)
def test_formula_is_read_in_its_order(text, expected):
    assert list(parse_composition(text).items()) == list(expected.items())


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('', 'has no atoms'),
        ('  ', 'has no atoms'),
        ('()2', 'has no atoms'),
        ('Xx2', '`Xx` in `Xx2` is no chemical element'),
        ('X2', 'is no chemical element'),
        ('Si0', 'asks for no atoms of `Si`'),
        ('8', 'cannot be read from `8` on'),
        ('si8', 'cannot be read from `si8` on'),
        ('Si2.5', 'cannot be read from `.5` on'),
        ('Si-8', 'cannot be read from `-8` on'),
        ('(Si', 'opens a bracket that it never closes'),
        ('Si)2', 'closes a bracket that it never opened'),
    ],
)
def test_bad_formula_is_refused_with_advice(text, complaint):
    with pytest.raises(ValueError, match='give a formula such as `Si8`') as error:
        parse_composition(text)
    assert complaint in str(error.value)


@pytest.mark.parametrize('composition', [{}, {'Si': 0}, {'Si': -1}, {'Si': 1.5}, {'Zz': 1}, {'Si': 'two'}])
def test_bad_composition_is_refused(composition):
    with pytest.raises(ValueError, match=r'composition|chemical element'):
        check_composition(composition)


def test_reduced_formula_does_not_depend_on_order_or_size():
    assert reduce_composition({'O': 12, 'Al': 8}) == reduce_composition({'Al': 2, 'O': 3}) == {'Al': 2, 'O': 3}
    assert format_composition(parse_composition('Na4Cl4')) == 'Na4Cl4'
