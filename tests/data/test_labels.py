"""The labels, their order, what is said of each, and label sets of other data."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asif_data.errors import AsifError
from asif_data.labels import CODEBOOK, CODEBOOK_LINES, LABELS, MARKS, NONE, LabelSet, distinct, plain, read_labels


def test_the_labels_keep_the_order_of_the_outputs() -> None:
    assert LABELS == ("empathy", "sympathy", "over-identification")


def test_none_is_a_mark_and_not_a_label() -> None:
    assert NONE not in LABELS
    assert (*LABELS, NONE) == MARKS


def test_every_mark_has_its_line_of_the_codebook() -> None:
    assert set(CODEBOOK_LINES) == set(MARKS)
    assert all(line.endswith(".") for line in CODEBOOK_LINES.values())


def test_without_a_file_the_labels_are_the_codebooks() -> None:
    assert read_labels(None) is CODEBOOK
    assert CODEBOOK.names == LABELS
    assert CODEBOOK.marks == MARKS


def test_a_file_gives_labels_in_its_order_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text("- name: warm\n  codebook: Stands with the client.\n- {name: a bit cool}\n- name: Übertragung\n")
    found = read_labels(file)
    assert found == LabelSet(("warm", "a bit cool", "Übertragung"), {"warm": "Stands with the client."})
    assert found.marks == ("warm", "a bit cool", "Übertragung", "none")


def test_json_is_read_too_also_with_tabs(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([{"name": "b"}, {"name": "a", "codebook": "A."}], indent="\t"))
    assert read_labels(file) == LabelSet(("b", "a"), {"a": "A."})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a list of labels, each `name` and `codebook`"),
        ("warm: Stands with the client.", r"expected a list of labels"),
        ("- name: warm", r"expected a list of labels, .* at least 2 items"),
        ("- warm\n- cold", r"label 1: input should be .*, found str"),
        ("- name: warm\n- codebook: Is cold.", r"label 2, name: field required"),
        ("- name: warm\n- name: no", r"label 2, name: input should be a valid string, found bool"),
        ("- name: warm\n- {name: cold, line: Is cold.}", r"label 2: expected only `name` and `codebook`"),
        ("- name: warm\n- name: ''", r"label 2, name: string should have at least 1 character"),
        ("- name: warm\n- name: ' cold'", r"label 2, name: expected a name in one line"),
        (f"- name: warm\n- name: {'c' * 41}", r"label 2, name: string should have at most 40 characters"),
        ("- name: warm\n- name: None", r"expected labels other than none"),
        ("- name: so warm\n- name: So-Warm", r"expected names that differ in more than case and hyphens, found 'So-Warm'"),
        ("- name: [", r"expected YAML, found a broken file: line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(text)
    with pytest.raises(AsifError, match=rf"labels\.yaml: {message}") as caught:
        read_labels(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.yaml"])
def test_rows_given_by_mistake_are_not_repeated(tmp_path: Path, name: str) -> None:
    rows = '[{"text": "my canary sings", "label": "none"}, {"text": "my canary sings"}]'
    (tmp_path / name).write_text("text,label\nmy canary: sings,none" if name.endswith("csv") else rows)
    with pytest.raises(AsifError) as caught:
        read_labels(tmp_path / name)
    assert "canary" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"gone\.yaml: expected a YAML file, found: No such file"):
        read_labels(tmp_path / "gone.yaml")


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_names_are_taken_as_they_are_or_refused(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps([{"name": name} for name in names]))
    try:
        found = read_labels(file)
    except AsifError:
        return
    assert list(found.names) == names
    assert len({plain(mark) for mark in found.marks}) == len(names) + 1


def test_names_that_tools_would_write_alike_are_one() -> None:
    assert distinct(["warm", "cold"]) == ["warm", "cold"]
    with pytest.raises(ValueError, match="found 'WARM_' again"):
        distinct(["warm", "WARM_"])
