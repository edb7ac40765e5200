"""Labels that stand off from their texts: keys, what is kept of rows, and how rows come back from other copies."""

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asif_data.errors import AsifError
from asif_data.labels import MARKS
from asif_data.rows import Row, Vote
from asif_data.source_corpora import Reply
from asif_data.standoff import detach, join, key, normal_form, read_standoff, write_standoff

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data" / "standoff" / "labels.jsonl"
GAUGE = ROOT.parent / "shared" / "real" / "dev.jsonl"

# Letters whose case can be changed to and fro: a dotless i cannot.
letters = st.characters(max_codepoint=0x24F, categories=["Ll"]).filter(
    lambda c: c != "\u0131" and unicodedata.is_normalized("NFKC", c)
)
words = st.lists(st.text(letters, min_size=1), min_size=1, max_size=30)
any_text = st.text(st.characters(codec="utf-8"))
apart = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", "\u2003", ", ", "... ", " \u2013 ", "\u2014", "! "])


# The key


@given(words, st.data())
def test_case_white_space_and_punctuation_make_no_difference(said: list[str], data: st.DataObject) -> None:
    change = st.sampled_from([str.upper, str.lower, str.title, str.capitalize, lambda word: f"\u201c{word}\u201d"])
    other = "".join(data.draw(change)(word) + data.draw(apart) for word in said)
    assert key(other, other) == key(" ".join(said), " ".join(said))


@given(any_text, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_make_no_difference(text: str, form: Any) -> None:
    other = unicodedata.normalize(form, text)
    if normal_form(text).strip():  # NFKC makes a space of some signs that stand alone
        assert key(other, other) == key(text, text)


@given(any_text)
def test_a_normal_form_is_its_own(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@pytest.mark.parametrize("apostrophe", ["\u2019", "\u2018", "\u00b4", "`", "\u02bc", "\uff07", "\u2032"])
def test_apostrophes_are_one(apostrophe: str) -> None:
    assert key(f"I don{apostrophe}t know", "You don't?") == key("I don't know", f"You don{apostrophe}t?")


@pytest.mark.parametrize("invisible", ["\u00ad", "\u200b", "\u200d", "\ufeff", "\u2060"])
def test_what_cannot_be_seen_makes_no_difference(invisible: str) -> None:
    assert key(f"{invisible}My fri{invisible}end.") == key("My friend.")


@given(words, words)
def test_other_words_have_another_key(said: list[str], other: list[str]) -> None:
    same = normal_form(" ".join(said)) == normal_form(" ".join(other))
    assert (key(" ".join(said)) == key(" ".join(other))) == same
    assert (key("Yes.", " ".join(said)) == key("Yes.", " ".join(other))) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("I'll go.", None), ("Ill go.", None)),
        (("I can.", None), ("I can't.", None)),
        (("Yes.", "No."), ("No.", "Yes.")),
        (("Yes no.", None), ("no.", "Yes")),
        (("Yes.", "Yes."), ("Yes.", None)),
        ((":)", None), (":(", None)),
        (("?", None), ("...", None)),
        (("café", None), ("cafe", None)),
    ],
)
def test_what_differs_in_words_or_place_has_another_key(
    one: tuple[str, str | None], other: tuple[str, str | None]
) -> None:
    assert key(*one) != key(*other)


def test_no_client_turn_and_an_empty_one_are_the_same() -> None:
    assert key("Yes.") == key("Yes.", "") == key("Yes.", " \n")


@given(st.lists(st.sampled_from(["so", "I", "don't", "she—left", "Ça?"]), min_size=91), st.integers(30, 90))
def test_it_makes_no_difference_where_a_long_client_turn_was_cut(turn: list[str], length: int) -> None:
    assert key("Yes.", " ".join(turn)) == key("Yes.", " ".join(turn[-length:]))


def test_a_key_is_what_the_readme_says() -> None:
    import hashlib

    said = hashlib.sha256("it s been\u00a0hard".replace("\u00a0", " ").encode() + b"\x1f" + b"you re tired").hexdigest()
    assert key("You\u2019re  TIRED.", "It's been\u00a0hard\u2026") == said[:24]


# Detach


def row(text: str, context: str | None, label: str | None = "empathy", source: str = "annomi-x", **more: Any) -> Row:
    votes = [Vote(annotator="a", label="empathy"), Vote(annotator="b", label="none")]
    return Row(text=text, context=context, label=label, source=source, votes=votes, **more)


def test_of_a_row_only_key_source_label_and_votes_are_kept(tmp_path: Path) -> None:
    labels = detach([row("You miss her.", "She left.", id="r1", group="g", note="You miss her.", topic="loss")])
    write_standoff(tmp_path / "labels.jsonl", labels)
    assert json.loads((tmp_path / "labels.jsonl").read_text()) == {
        "key": key("You miss her.", "She left."),
        "source": "annomi-x",
        "label": "empathy",
        "votes": [{"annotator": "a", "label": "empathy"}, {"annotator": "b", "label": "none"}],
    }
    assert read_standoff(tmp_path / "labels.jsonl") == labels


def test_the_order_of_a_file_tells_nothing_of_the_order_of_rows(tmp_path: Path) -> None:
    rows = [row(f"You say {n}.", None) for n in range(20)]
    write_standoff(tmp_path / "a", detach(rows))
    write_standoff(tmp_path / "b", reversed(detach(rows[::-1])))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_same_row_twice_is_one_label_unless_it_says_another() -> None:
    assert len(detach([row("Hm.", None), row("hm", None)])) == 1
    with pytest.raises(AsifError, match=r"^r2: label: expected that of the row with the same words, found another"):
        detach([row("Hm.", None, id="r1"), row("hm", None, "none", id="r2")])


def test_rows_that_no_corpus_can_give_back_are_all_named_without_their_words() -> None:
    rows = [row("Hm.", None, source="asif"), row("Hm.", None), row("Hm.", None, source="My own words, a text", id="r3")]
    with pytest.raises(AsifError) as error:
        detach(rows)
    assert str(error.value).splitlines() == [
        "row 1: source: expected a name that begins with annomi, esconv, epitome, found 'asif'",
        "r3: source: expected a name that begins with annomi, esconv, epitome, found a text of 20 characters",
        "Nothing was written.",
    ]


# Read


@pytest.fixture
def good() -> dict[str, Any]:
    return {"key": "0" * 24, "source": "esconv", "label": "none", "votes": [{"annotator": "a", "label": "none"}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "0" * 23}, "1: key: string should match pattern"),
        ({"key": "g" * 24}, "1: key: string should match pattern"),
        ({"key": None}, "1: key: input should be a valid string, found NoneType"),
        ({"source": "asif"}, "1: source: expected a name that begins with annomi, esconv, epitome, found 'asif'"),
        ({"label": "pity"}, "1: label: expected one of empathy, sympathy, over-identification, none, found 'pity'"),
        ({"votes": [{"annotator": "a", "label": "pity"}]}, "1: votes: expected one of empathy"),
        ({"text": "You miss her."}, "1: text: extra inputs are not permitted, found str"),
    ],
)
def test_bad_labels_are_named(tmp_path: Path, good: dict[str, Any], change: dict[str, Any], message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(good | change) + "\n" + json.dumps({**good, "label": "nope"}) + "\n")
    with pytest.raises(AsifError, match=message) as error:
        read_standoff(path)
    assert f"{path}:2: label: " in str(error.value)
    assert "You miss her." not in str(error.value)


def test_a_file_of_labels_must_be_there_and_hold_each_key_once(tmp_path: Path, good: dict[str, Any]) -> None:
    path = tmp_path / "labels.jsonl"
    with pytest.raises(AsifError, match="found nothing there; say where with --labels"):
        read_standoff(path)
    path.write_text("")
    with pytest.raises(AsifError, match="expected at least one label, found none"):
        read_standoff(path)
    path.write_text(f"{json.dumps(good)}\n" * 2 + "{\n")
    with pytest.raises(AsifError, match=r":2: key: expected each key of a source once(.|\n)*:3: row: .*broken JSON"):
        read_standoff(path)


# Join


def test_rows_come_back_from_a_copy_that_is_written_otherwise() -> None:
    turn = " ".join(f"word{n}" for n in range(200))
    rows = [
        row("You\u2019re tired.", "I can't go on.", source="annomi-x"),
        row("It wears you down.", " ".join(turn.split()[-90:]), "sympathy", "epitome"),
        row("Not in any copy.", None, "none", "annomi-x"),
        row("You\u2019re tired.", "I can't go on.", "none", "esconv-dev"),
    ]
    replies = {
        "annomi": [
            Reply("Oh.", "I can't go on.", "annomi-1"),
            Reply("YOU'RE  tired", "I can\u2019t go on", "annomi-1"),
        ],
        "epitome": [Reply("it wears you\ndown", turn, "epitome-7")],
    }
    found = {joined.source: joined for joined in join(detach(rows), replies)}
    assert set(found) == {"annomi-x", "epitome"}
    assert found["annomi-x"] == Row(
        id=f"annomi-x-{key('you re tired', 'i can t go on')}",
        text="YOU'RE tired",
        context="I can\u2019t go on",
        label="empathy",
        votes=rows[0].votes,
        source="annomi-x",
        group="annomi-1",
    )
    assert (found["epitome"].context, found["epitome"].text) == (rows[1].context, "it wears you down")


def test_a_label_given_without_the_client_turn_stands_for_the_words_alone() -> None:
    replies = {"esconv": [Reply("Hello.", "Hi.", "esconv-1"), Reply("Hello!", "Hi.", "esconv-2")]}
    [joined] = join(detach([row("Hello.", None, "none", "esconv")]), replies)
    assert (joined.text, joined.context, joined.group) == ("Hello.", None, "esconv-1")
    replies["esconv"].append(Reply("HELLO", None, "esconv-3"))
    [joined] = join(detach([row("Hello.", None, "none", "esconv")]), replies)
    assert (joined.text, joined.group) == ("HELLO", "esconv-3")


def test_a_label_given_with_the_client_turn_stands_for_no_other() -> None:
    replies = {"esconv": [Reply("Hello.", "Good evening.", "esconv-1"), Reply("Hello.", None, "esconv-2")]}
    assert join(detach([row("Hello.", "Hi.", "none", "esconv")]), replies) == []


# What is shipped


def test_the_shipped_labels_are_those_that_the_readme_tells_of() -> None:
    labels = read_standoff(SHIPPED)
    told = (SHIPPED.parent / "README.md").read_text(encoding="utf-8")
    for source, count in re.findall(r"^\| `(\S+)` \|.*?\| (\d+) \|", told, re.MULTILINE):
        assert sum(label.source == source for label in labels) == int(count)
    for mark in MARKS:
        assert f"{sum(label.label == mark for label in labels)} {mark}" in told
    assert f"differ on {sum(len({v.label for v in label.votes}) > 1 for label in labels)} of\nthe {len(labels)}" in told
    for label in labels:
        votes = [vote.label for vote in label.votes]
        assert len(votes) == 3
        assert votes.count(label.label) >= 2


def test_the_shipped_file_is_as_detach_writes_it(tmp_path: Path) -> None:
    write_standoff(tmp_path / "labels.jsonl", read_standoff(SHIPPED))
    assert (tmp_path / "labels.jsonl").read_bytes() == SHIPPED.read_bytes()


@pytest.mark.skipif(not GAUGE.exists(), reason="the real replies are not here")
def test_keys_and_labels_are_exactly_those_of_the_real_replies() -> None:
    real = [json.loads(line) for line in GAUGE.read_text(encoding="utf-8").splitlines()]
    labels = {(label.source, label.key): label for label in read_standoff(SHIPPED)}
    wanted = {(r["source"], key(r["text"], r["context"])): r for r in real}
    assert len(wanted) == len(real)
    assert set(labels) == set(wanted)
    for name, r in wanted.items():
        assert (labels[name].label, [vote.label for vote in labels[name].votes]) == (r["label"], r["votes"])


@pytest.mark.skipif(not GAUGE.exists(), reason="the real replies are not here")
def test_real_replies_come_back_from_files_as_they_are_published(tmp_path: Path) -> None:
    from asif_data.source_corpora import read_replies

    real = [json.loads(line) for line in GAUGE.read_text(encoding="utf-8").splitlines()]
    files: dict[str, Callable[[list[dict[str, Any]]], Path]] = {
        "annomi": lambda rows: as_annomi(tmp_path / "AnnoMI-full.csv", rows),
        "esconv": lambda rows: as_esconv(tmp_path / "ESConv.json", rows),
        "epitome": lambda rows: as_epitome(tmp_path / "explorations-reddit.csv", rows),
    }
    replies = {
        corpus: read_replies(corpus, write([r for r in real if r["source"].startswith(corpus)]))
        for corpus, write in files.items()
    }
    joined = join(read_standoff(SHIPPED), replies)
    wanted = {(r["source"], r["text"].casefold(), (r["context"] or "").casefold(), r["label"]) for r in real}
    assert {(j.source, j.text.casefold(), (j.context or "").casefold(), j.label) for j in joined} == wanted
    assert len(joined) == len(real) == len({j.group for j in joined})


def as_annomi(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = [
        {"transcript_id": 2 * n, "utterance_id": i, "interlocutor": who, "utterance_text": text}
        for n, r in enumerate(rows)
        for i, (who, text) in enumerate([("client", r["context"] or ""), ("therapist", r["text"])])
    ]
    return as_csv(path, lines)


def as_epitome(path: Path, rows: list[dict[str, Any]]) -> Path:
    posts = [
        {"sp_id": f"s{n}", "rp_id": f"r{n}", "seeker_post": r["context"], "response_post": r["text"], "level": 0}
        for n, r in enumerate(rows)
    ]
    return as_csv(path, posts)


def as_csv(path: Path, records: list[dict[str, Any]]) -> Path:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return path


def as_esconv(path: Path, rows: list[dict[str, Any]]) -> Path:
    conversations = [
        {
            "dialog": [
                {"speaker": "seeker", "content": (r["context"] or "").upper() + "\n"},
                {"speaker": "supporter", "content": r["text"].title()},
            ]
        }
        for r in rows
    ]
    path.write_text(json.dumps(conversations), encoding="utf-8")
    return path
