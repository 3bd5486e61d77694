"""A page that needs nothing but a browser: pictures, style and script are in the file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from aiida_prospect.methods.report.style import report_style

DPI = 160
# A drawing of more bytes than this goes into the page as pixels.
LARGEST_SVG = 80_000


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    :param name: stem of the files.
    :param drawing: the figure, or a sentence that says why there is none.
    :param alt: what is to be seen, for those who do not see it.
    :param caption: what it means; may be empty.
    """

    name: str
    title: str
    drawing: Figure | str
    alt: str
    caption: str = ''


@dataclass(frozen=True)
class Section:
    """A part of the page: some paragraphs, then pictures, then a table."""

    name: str
    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Minimum:
    """A structure that was found.

    :param facts: names and values.
    :param story: where it comes from, in sentences.
    :param scene: from :func:`aiida_prospect.methods.crystal_pictures.scene_of`.
    """

    picture: Picture
    facts: Mapping[str, str]
    story: Sequence[str]
    scene: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """All that a report says.

    :param state: one word for the state, and ``ending``, why, in a sentence.
    :param facts: the most important numbers, by name.
    :param settings: all settings, by name.
    """

    title: str
    subtitle: str
    state: str
    ending: str
    facts: Mapping[str, str]
    minima: Sequence[Minimum] | str
    sections: Sequence[Section]
    settings: Mapping[str, str] = field(default_factory=dict)
    footer: str = ''


def write_page(page: Page, folder: Path) -> Path:
    """Write ``index.html``, and each figure in ``figures`` as ``.svg`` and ``.png``.

    :return: the path of the page.
    """
    (folder / 'figures').mkdir(parents=True, exist_ok=True)
    pictures = [minimum.picture for minimum in page.minima if isinstance(minimum, Minimum)]
    pictures += [picture for section in page.sections for picture in section.pictures]
    sources = {
        picture.name: _save(picture.drawing, folder / 'figures' / picture.name)
        for picture in pictures
        if isinstance(picture.drawing, Figure)
    }
    environment = Environment(
        autoescape=select_autoescape(default=True), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource('page.html'))
    html = template.render(
        page=page,
        sources=sources,
        is_text=lambda value: isinstance(value, str),
        style=_resource('page.css'),
        script=_resource('viewer.js'),
        scenes=_json_in_html([minimum.scene for minimum in page.minima if isinstance(minimum, Minimum)]),
    )
    path = folder / 'index.html'
    path.write_text(html, encoding='utf8')
    return path


def _resource(name: str) -> str:
    return files('aiida_prospect.methods.report').joinpath(name).read_text(encoding='utf8')


def _json_in_html(value: Any) -> str:
    # `</script>` inside of a string would end the script.
    return json.dumps(value, separators=(',', ':')).replace('<', '\\u003c')


def _save(figure: Figure, stem: Path) -> str:
    """Save a figure in both formats, and return the lighter one that is fit for the page as a data URI."""
    svg, png = io.BytesIO(), io.BytesIO()
    with report_style():
        figure.savefig(svg, format='svg', metadata={'Date': None}, dpi=DPI)
        figure.savefig(png, format='png', dpi=DPI)
    stem.with_suffix('.svg').write_bytes(svg.getvalue())
    stem.with_suffix('.png').write_bytes(png.getvalue())
    kind, content = ('svg+xml', svg) if len(svg.getvalue()) < LARGEST_SVG else ('png', png)
    return f'data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}'
