"""Tests of what is read from an INCAR and from a vasprun.xml."""

from io import BytesIO

import pytest

from aiida_prospect.methods.labels_vasp import incar_settings, last_free_energy

TITLES = {'Fe': 'PAW_PBE Fe 06Sep2000', 'O': 'PAW_PBE O 08Apr2002'}
STEP = '<calculation><scstep><energy><i name="e_fr_energy"> 9.0 </i></energy></scstep>{}</calculation>'


def test_numbers_and_text_say_the_same():
    """INCAR as AiiDA stores it, and as it is written in files."""
    typed = {'encut': 520, 'gga': 'PE', 'ismear': 0, 'sigma': 0.05, 'ispin': 2, 'ldau': True, 'ldauu': [4.0, 0.0]}
    text = {'ENCUT': '520.0', 'GGA': 'PE ', 'ISMEAR': '0', 'SIGMA': '0.05', 'ISPIN': '2', 'LDAU': '.TRUE.'}
    settings = incar_settings(typed, TITLES, ['Fe', 'O'])
    assert settings == incar_settings({**text, 'LDAUU': ' 4.0  0.0'}, TITLES, ['Fe', 'O'])
    assert settings['extras'] == {'U of Fe': '4 eV'}
    assert incar_settings({**typed, 'ldauu': [0.0, 4.0]}, TITLES, ['O', 'Fe']) == settings


def test_what_is_not_given_is_what_vasp_takes():
    settings = incar_settings({}, TITLES)
    assert (settings['functional'], settings['spin']) == ('PBE', 'none')
    assert (settings['smearing'], settings['degauss']) == ('methfessel-paxton', 0.2)
    assert settings['ecutwfc'] is None
    assert incar_settings({'gga': '--'}, {'Si': 'PAW Si 02Apr1999'})['functional'] == 'LDA'
    assert incar_settings({'ismear': -5}, TITLES)['degauss'] is None


@pytest.mark.parametrize(
    ('tags', 'key', 'value'),
    [
        ({'metagga': 'SCAN'}, 'extras', {'metagga': 'SCAN'}),
        ({'metagga': '--', 'ivdw': 0, 'lhfcalc': 'F'}, 'extras', {}),
        ({'lhfcalc': '.TRUE.', 'ivdw': 12}, 'extras', {'lhfcalc': 'yes', 'ivdw': '12'}),
        ({'lsorbit': True}, 'spin', 'noncollinear'),
        ({'gga': 'ps'}, 'functional', 'PBESOL'),
    ],
    ids=str,
)
def test_choices_that_change_energies_are_told(tags, key, value):
    assert incar_settings(tags, TITLES)[key] == value


def test_the_free_energy_is_that_of_the_last_step_after_its_iterations():
    ends = [f'<energy><i name="e_fr_energy"> {energy} </i></energy>' for energy in (-1.0, -2.5)]
    xml = f'<modeling>{"".join(STEP.format(end) for end in ends)}</modeling>'
    assert last_free_energy(BytesIO(xml.encode())) == -2.5
    assert last_free_energy(BytesIO(xml[:-5].encode())) is None
    assert last_free_energy(BytesIO(b'<modeling></modeling>')) is None
