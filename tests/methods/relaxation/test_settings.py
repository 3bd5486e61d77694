import pytest

from aiida_prospect.methods.relaxation.settings import RelaxSettings


@pytest.mark.parametrize(
    ('values', 'name'),
    [
        ({'sanity': None}, 'sanity'),
        ({'fmax': None}, 'fmax'),
        ({'pressure': None}, 'pressure'),
        ({'lbfgs': None}, 'lbfgs'),
        ({'sanity': {'height': None}}, 'sanity.height'),
        ({'uncertainty': {'ratio': None}}, 'uncertainty.ratio'),
    ],
)
def test_nothing_is_refused_where_it_means_nothing(values, name):
    """Such a job would end with an error of Python, after all that was done before it."""
    with pytest.raises(ValueError, match=f'`{name}` is null'):
        RelaxSettings.from_dict(values)


def test_what_may_be_switched_off():
    settings = RelaxSettings.from_dict({'uncertainty': None, 'trajectory': None, 'sanity': {'lowest_energy': None}})
    assert (settings.uncertainty, settings.trajectory, settings.sanity.lowest_energy) == (None, None, None)
