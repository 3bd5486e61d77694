"""Files that a user wants to be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

PICTURES = ('.png', '.svg', '.pdf')


class PictureFile(click.Path):
    """The path of a picture, whose ending says how it is drawn."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse endings of what cannot be drawn."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in PICTURES:
            self.fail(f'`{path}` ends with none of {", ".join(PICTURES)}', param, ctx)
        return path


picture_option = click.option(
    '--picture', type=PictureFile(), help=f'Draw the result into this file ({", ".join(PICTURES)}).'
)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what hinders the writing of a file or folder into one sentence.

    :raises click.ClickException: with the path and the cause.
    """
    try:
        yield
    except OSError as error:
        raise click.ClickException(f'`{path}` cannot be written: {error.strerror or error}') from error


def check_writable(path: Path) -> None:
    """Make the folder of a file that is to be written much later, and try whether it takes a file.

    :raises click.ClickException: if it does not.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
