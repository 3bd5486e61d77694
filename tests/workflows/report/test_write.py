"""Tests for the report, as a browser sees it."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.workflows.report.write import write_report

DESKTOP, PHONE = 1280, 390
FIGURES = (
    *('labels', 'clusters', 'status', 'parity_energy', 'parity_forces', 'parity_stress', 'calibration'),
    *('learning_energy', 'learning_forces', 'map', 'cost', 'minimum_00'),
)
REPORTS: dict[str, object] = {}


@pytest.fixture
def report_of(tmp_path_factory):
    """Return a function that writes the report of a search once."""

    def write(name, search):
        if name not in REPORTS:
            REPORTS[name] = write_report(search, tmp_path_factory.mktemp(name))
        return REPORTS[name]

    return write


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page as wide as a screen, and complains of what the console says."""

    def look(path, width):
        screen = {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 600}
        browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', screen)
        browser.get(path.as_uri())
        assert browser.get_log('browser') == []
        return browser

    return look


@pytest.fixture(params=['search', 'failed_search', 'begun_search'])
def any_report(request, report_of):
    """Return the report of a search that has ended, one that has failed, and one that has not begun."""
    return report_of(request.param, request.getfixturevalue(request.param))


@pytest.mark.parametrize('width', [DESKTOP, PHONE])
def test_page_opens_and_nothing_sticks_out(any_report, open_page, width):
    page = open_page(any_report, width)
    assert page.execute_script('return document.documentElement.scrollWidth') <= width
    images = page.execute_script('return [...document.images].map(i => [i.naturalWidth, i.clientWidth, i.alt])')
    for natural, shown, alt in images:
        assert natural > 0
        assert len(alt) > 20
        # Letters of 14 pixels must not become smaller than 10.
        assert shown / min(natural, 442) > 0.72
    wide = "return [...document.querySelectorAll('p, dd, h1, h2, h3')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert page.execute_script(f'{wide}.length') == 0


def test_page_needs_nothing_else(any_report, open_page):
    page = open_page(any_report, DESKTOP)
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith('data:')] == []
    assert not re.search(r'(?:src|href)="(?!data:|#)', any_report.read_text())
    assert any_report.stat().st_size < 1_500_000


def test_headings_make_a_table_of_contents(any_report, open_page):
    page = open_page(any_report, DESKTOP)
    levels = page.execute_script("return [...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    missing = page.execute_script(
        "return [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href')))"
    )
    assert missing == []


def test_finished_search_has_all_figures_as_files_too(search, report_of):
    folder = report_of('search', search).parent / 'figures'
    for name in FIGURES:
        assert (folder / f'{name}.png').read_bytes().startswith(b'\x89PNG')
        assert '<svg' in (folder / f'{name}.svg').read_text()[:600]


def test_finished_search_is_told_in_words(search, report_of, open_page):
    page = open_page(report_of('search', search), DESKTOP)
    text = page.execute_script('return document.body.innerText')
    best = search.outputs.ranking['minima'][0]
    for words in (
        search.outputs.stop['sentence'][1:],
        f'{best["space_group_symbol"]} ({best["space_group_number"]})',
        f'{best["energy_per_atom"]:.4f} eV/atom',
        'Relaxed with the reference method',
        'of 9 labels are shown',
        search.uuid,
    ):
        assert words in text


def test_crystal_turns(search, report_of, open_page):
    from selenium.webdriver import ActionChains, Keys

    page = open_page(report_of('search', search), PHONE)
    button = page.find_element('css selector', 'button[data-scene]')
    canvas = page.find_element('css selector', 'canvas')
    picture = "return arguments[0].toDataURL('image/png')"
    assert not canvas.is_displayed()
    button.click()
    before = page.execute_script(picture, canvas)
    blank = "const c = document.createElement('canvas'); c.width = c.height = arguments[0].width; return c.toDataURL();"
    assert len(before) > 3 * len(page.execute_script(blank, canvas))
    canvas.send_keys(Keys.ARROW_RIGHT)
    turned = page.execute_script(picture, canvas)
    assert turned != before
    ActionChains(page).move_to_element(canvas).click_and_hold().move_by_offset(30, 20).release().perform()
    assert page.execute_script(picture, canvas) != turned
    button.click()
    assert not canvas.is_displayed()
    assert page.get_log('browser') == []


@pytest.mark.parametrize(
    ('name', 'sentences'),
    [
        (
            'failed_search',
            [
                'It failed before its end: cycle 0: 6 usable labels',
                'The search ended before its final relaxations',
                'No pool has been relaxed and clustered yet.',
                'No ensemble has been trained yet.',
            ],
        ),
        (
            'begun_search',
            [
                'It has not ended yet. Now: starting. Labels still expected: 6 to 9.',
                'The search has not come to its final relaxations yet',
                'There are no labels yet.',
                'There is no pool yet.',
                'No job has reported a cost yet.',
            ],
        ),
    ],
)
def test_what_is_missing_is_said_in_words(name, sentences, request, report_of, open_page):
    page = open_page(report_of(name, request.getfixturevalue(name)), DESKTOP)
    text = page.execute_script('return document.body.innerText')
    for sentence in sentences:
        assert sentence in text


def test_command(failed_search, tmp_path, capsys):
    command = ['report', str(failed_search.pk), '-o', str(tmp_path / 'there')]
    cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    assert str(tmp_path / 'there' / 'index.html') in capsys.readouterr().out
    assert (tmp_path / 'there' / 'figures' / 'labels.png').is_file()


def test_other_processes_are_refused(search, tmp_path):
    with pytest.raises(ValueError, match='is no search'):
        write_report(search.called[0], tmp_path)
