"""Tests for the page of a report."""

from __future__ import annotations

import json
import re

from matplotlib.figure import Figure

from aiida_prospect.methods.report.page import Minimum, Page, Picture, Section, write_page


def page_with(**changes) -> Page:
    figure = Figure()
    figure.subplots().plot([0, 1])
    picture = Picture('line', 'A line', figure, 'A line that rises.', 'It rises.')
    missing = Picture('gap', 'A gap', 'There is <nothing> yet.', '')
    values = {
        'title': 'Si & <b>O</b>',
        'subtitle': '',
        'state': 'running',
        'ending': 'It goes on.',
        'facts': {'labels': '3'},
        'minima': 'None yet.',
        'sections': [Section('one', 'One', ['Words.'], [picture, missing], ['a', 'b'], [['1', '<2>']])],
    }
    return Page(**{**values, **changes})


def test_what_users_wrote_is_no_markup(tmp_path):
    html = write_page(page_with(), tmp_path).read_text()
    assert 'Si &amp; &lt;b&gt;O&lt;/b&gt;' in html
    assert 'There is &lt;nothing&gt; yet.' in html
    assert '<td>&lt;2&gt;</td>' in html


def test_a_figure_is_in_the_page_and_in_files_and_a_missing_one_in_words(tmp_path):
    html = write_page(page_with(), tmp_path).read_text()
    assert len(re.findall(r'<img src="data:image/svg\+xml;base64,', html)) == 1
    assert sorted(path.name for path in (tmp_path / 'figures').iterdir()) == ['line.png', 'line.svg']
    assert 'None yet.' in html


def test_equal_reports_are_equal_files(tmp_path):
    first, second = (write_page(page_with(), tmp_path / name).read_bytes() for name in ('one', 'two'))
    assert first == second


def test_scenes_cannot_end_the_script(tmp_path):
    scene = {'atoms': [], 'kinds': [{'symbol': '</script><b>'}], 'bonds': [], 'cell': []}
    figure = Figure()
    minimum = Minimum(Picture('minimum_00', 'Si', figure, 'Silicon'), {}, [], scene)
    html = write_page(page_with(minima=[minimum]), tmp_path).read_text()
    assert html.count('</script>') == 1
    found = re.search(r'const scenes = (.*);', html)
    assert found
    assert json.loads(found[1]) == [scene]
