"""Progress bars of long work."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_Item = TypeVar("_Item")
_BARS = Console(stderr=True)  # standard output is for what was found


def progress(items: Sequence[_Item], doing: str) -> Iterable[_Item]:
    """The items one by one, with a bar on standard error that says what is being done; in a notebook there is none."""
    return track(items, doing, console=_BARS, disable=_BARS.is_jupyter)
