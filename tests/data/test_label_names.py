"""Label names: which are the same, which are mapped, and what a bad map is told."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.label_names import LabelNames, plain, read_table


@pytest.mark.parametrize(
    "name", ["over-identification", "Over Identification", "over_identification", "OVERIDENTIFICATION "]
)
def test_case_spaces_underscores_and_hyphens_are_no_difference(name: str) -> None:
    assert plain(name) == "overidentification"
    assert LabelNames().label(name) == "over-identification"


@pytest.mark.parametrize("name", ["Empathetic", "empaty", "", "0"])
def test_an_unknown_name_comes_back_as_it_is(name: str) -> None:
    assert LabelNames().label(name) == name


def test_a_table_comes_from_entries_and_files(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"pity": "sympathy", "0": "none"}', encoding="utf-8-sig")
    names = LabelNames(read_table(["Unsure=", "me too=Over Identification", str(tmp_path / "map.json")]))
    assert [names.label(n) for n in ("unsure", "Me_Too", "Pity", "0")] == [
        "",
        "over-identification",
        "sympathy",
        "none",
    ]


def test_a_table_may_rename_one_label_to_another() -> None:
    names = LabelNames({"sympathy": "none"})
    assert (names.label("Sympathy"), names.label("none")) == ("none", "none")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pity": "simpathy"}, r"label map: 'pity': expected one of .*, found 'simpathy' \(did you mean 'sympathy'\?\)\."),
        ({"pity": "x"}, r"found 'x'\."),
        ({"pity": "sympathy", "Pity": "none"}, r"label map: expected one label for 'Pity', found 'sympathy' and 'none'\."),
    ],
)  # fmt: skip
def test_a_bad_table_is_one_sentence(table: dict[str, str], message: str) -> None:
    with pytest.raises(AsifError, match=message):
        LabelNames(table)


@pytest.mark.parametrize("content", ["[1]", '{"a": 1}', "{", None])
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "map.json").write_text(content)
    with pytest.raises(AsifError, match=r"label map: expected NAME=LABEL or a JSON file of .*map\.json'\."):
        read_table([str(tmp_path / "map.json")])


def test_a_sign_is_not_a_separator() -> None:
    names = LabelNames({"1": "empathy", "-1": ""})
    assert (names.label("1"), names.label("-1")) == ("empathy", "")
    assert names.label("Over_Identification ") == "over-identification"
