"""Files written whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.files import check_writable, write_atomically


@pytest.mark.parametrize("text", ["new é", ["new", " é"], iter(["new é"])])
def test_a_write_replaces_the_file_whole(tmp_path: Path, text: str | list[str]) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with path.open() as reader:
        write_atomically(path, text)
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new é"
    assert list(tmp_path.iterdir()) == [path]


def broken() -> Iterator[str]:
    yield "half"
    raise KeyError("the next part")


@pytest.mark.parametrize(("text", "error"), [("half \ud800", UnicodeEncodeError), (broken(), KeyError)])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, text: str, error: type[Exception]
) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with pytest.raises(error):
        write_atomically(path, text)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_kept_private_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_atomically(path, "old")
    path.chmod(0o600)
    write_atomically(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("folder", ["gone", "file"])
def test_what_cannot_be_written_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AsifError, match=rf"{folder}/a\.json: expected a file that can be written, found: "):
        write_atomically(tmp_path / folder / "a.json", "new")


@pytest.mark.parametrize("name", ["a.csv", "a", "gone/a.json"])
def test_an_output_of_another_ending_or_in_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / "a.json", ".json")
    with pytest.raises(AsifError, match=r"--out: expected a \.json file in a folder that exists, found '.*"):
        check_writable(tmp_path / name, ".json")
