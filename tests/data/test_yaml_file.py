"""YAML and JSON files: what they hold, and what is said of a broken one."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.yaml_file import read_yaml


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", "b: [1, x]"), ("a.yml", "b:\n- 1\n- x"), ("a.json", '{"b": [1, "x"]}')]
)
def test_both_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read_yaml(tmp_path / name) == {"b": [1, "x"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"fine: 1\nmy canary: [", "expected YAML, found a broken file: line 2 cannot be read"),
        ("a.yaml", b"fine: 1\n\t- my canary", "expected YAML, found a broken file: line 2 cannot be read"),
        ("a.yaml", b"!!python/object/apply:os.getcwd []", "expected YAML, found a broken file: line 1"),
        ("a.yaml", b"my canary \xff", "expected YAML in UTF-8, found a broken file"),
        ("a.json", b'{"a": 1,\n"my canary": }', "expected JSON, found a broken file: line 2 cannot be read"),
        ("a.json", b"[" * 100_000, "expected JSON"),
        ("", b"", "expected a YAML file, found: Is a directory"),
    ],
)
def test_a_broken_file_is_told_by_its_line_and_not_by_its_words(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AsifError, match=message) as caught:
        read_yaml(tmp_path / name)
    assert "canary" not in str(caught.value)
