"""Files written whole: a reader finds the old one or the new one, never half of it."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from asif_data.errors import AsifError


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, or its parts one after the other, through a temporary file beside `path`, also safe from a power cut.

    A file that is replaced hands its permissions on. Raises AsifError where it cannot be written; whatever is raised,
    `path` stays as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            if path.exists():
                shutil.copymode(path, partial)
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise AsifError(f"{path}: expected a file that can be written, found: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def check_writable(path: Path, ending: str) -> None:
    """Raise AsifError, for the flag --out, unless `path` has this ending and lies in a folder that exists."""
    if path.suffix != ending or not path.parent.is_dir():
        raise AsifError(f"--out: expected a {ending} file in a folder that exists, found {str(path)!r}.")
