"""Replies out of files in the formats in which AnnoMI, ESConv and EPITOME are published. All words here are ours."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.source_corpora import read_replies

ANNOMI_COLUMNS = "mi_quality,transcript_id,video_title,utterance_id,interlocutor,timestamp,utterance_text,annotator_id"
ANNOMI = [
    'high,0,"A ""talk""",0,therapist,00:00:01,"So, what brings you?",3',
    "high,0,A talk,1,client,00:00:05,My sister.,3",
    "high,0,A talk,2,therapist,00:00:09,You miss her.,3",
    "high,2,Another,0,client,00:00:02,Hello.,3",
    "high,2,Another,1,therapist,00:00:03,Hello to you.,3",
]
EPITOME = (
    "sp_id,rp_id,seeker_post,response_post,level,rationales\n"
    's1,r1,"I am so tired. All of it, gone",You carried it alone.,1,"carried it|"\n'
    's1,r2,"I am so tired. All of it, gone","Me too, \'friend\'.",0,\n'
    "s2,r3,,Hang in there.,0,\n"
)
ESCONV = [
    {
        "problem_type": "sleep problems",
        "dialog": [
            {"speaker": "supporter", "annotation": {"strategy": "Question"}, "content": "How are you?\n"},
            {"speaker": "seeker", "annotation": {}, "content": "Not good\n"},
            {"speaker": "seeker", "annotation": {"feedback": "4"}, "content": "I can't sleep"},
            {"speaker": "supporter", "annotation": {"strategy": "Others"}, "content": "That wears you down."},
            {"speaker": "supporter", "annotation": {"strategy": "Others"}, "content": "Night after night."},
        ],
    },
    {"dialog": [{"speaker": "usr", "text": "hi"}, {"speaker": "sys", "text": "hi there", "strategy": "Others"}]},
]
WINDOWS = (
    "1.0 1 0 [Question] How are you?  EOS 1.0 0 1 [sigh] not good EOS 1.0 1 2 [Other] That wears you [so] down. \n"
    "0.0 1 2 [Other] That wears you [so] down.  EOS 1.0 1 3 [Other] Night after night.\n"
    "1.0 0 0 hi  EOS 1.0 0 1  EOS 1.0 1 2 hi there\n"
)
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(name: str, content: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    return file


def csv(*rows: str, columns: str = ANNOMI_COLUMNS) -> str:
    return "\n".join([columns, *rows]) + "\n"


def test_annomi_gives_each_therapist_turn_with_the_client_turn_before(write: Write) -> None:
    assert read_replies("annomi", write("AnnoMI-full.csv", csv(*ANNOMI))) == [
        ("So, what brings you?", None, "annomi-0"),
        ("You miss her.", "My sister.", "annomi-0"),
        ("Hello to you.", "Hello.", "annomi-2"),
    ]


def test_annomi_counts_an_utterance_of_several_annotators_once_and_goes_by_number(write: Write) -> None:
    again = [row[:-1] + "4" for row in ANNOMI]
    once = read_replies("annomi", write("a.csv", csv(*ANNOMI)))
    assert read_replies("annomi", write("b.csv", csv(*ANNOMI, *again))) == once
    assert read_replies("annomi", write("c.csv", csv(*ANNOMI[2::-1], *ANNOMI[:2:-1]))) == once


def test_epitome_gives_each_response_with_its_post(write: Write) -> None:
    assert read_replies("epitome", write("interpretations-reddit.csv", EPITOME)) == [
        ("You carried it alone.", "I am so tired. All of it, gone", "epitome-s1"),
        ("Me too, 'friend'.", "I am so tired. All of it, gone", "epitome-s1"),
        ("Hang in there.", None, "epitome-s2"),
    ]


def test_esconv_gives_each_supporter_turn_with_the_last_seeker_turn(write: Write) -> None:
    replies = [
        ("How are you?", None, "esconv-1"),
        ("That wears you down.", "I can't sleep", "esconv-1"),
        ("Night after night.", "I can't sleep", "esconv-1"),
        ("hi there", "hi", "esconv-2"),
    ]
    assert read_replies("esconv", write("ESConv.json", json.dumps(ESCONV))) == replies
    lines = "".join(json.dumps(conversation) + "\n" for conversation in ESCONV)
    assert read_replies("esconv", write("train.jsonl", lines)) == replies


def test_esconv_windows_give_their_last_turn_with_what_they_show_of_the_seeker(write: Write) -> None:
    assert read_replies("esconv", write("devWithStrategy_short.tsv", WINDOWS)) == [
        ("That wears you [so] down.", "[sigh] not good", "esconv-devWithStrategy_short-0"),
        ("Night after night.", None, "esconv-devWithStrategy_short-0"),
        ("hi there", "", "esconv-devWithStrategy_short-1"),
    ]


def test_a_folder_stands_for_the_corpus_files_in_it(write: Write, tmp_path: Path) -> None:
    write("dataset/emotional-reactions-reddit.csv", EPITOME)
    write("dataset/explorations-reddit.csv", EPITOME)
    write("dataset/sample.csv", "a,b\n1,2\n")
    assert len(read_replies("epitome", tmp_path)) == 6
    with pytest.raises(AsifError, match=r"expected AnnoMI's AnnoMI-\*\.csv in this folder, found no such file"):
        read_replies("annomi", tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_tell_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv("high,0,t,0,therapist,0,Ça va?,1").encode(encoding))
    assert read_replies("annomi", path)[0].text == "Ça va?"


SECRET = "You-miss-your-sister-more-than-you-say-to-anyone"


@pytest.mark.parametrize(
    ("corpus", "name", "content", "message"),
    [
        ("annomi", "a.csv", EPITOME, "expected the columns transcript_id, .*, found no transcript_id but 'sp_id', "),
        ("annomi", "a.csv", csv(columns="utterance_text"), "expected AnnoMI with at least one reply, found none"),
        ("annomi", "a.csv", "", "expected AnnoMI with at least one reply, found none"),
        ("annomi", "a.csv", csv("high,0,t,1b,client,0,Hm.,1"), "2: utterance_id: expected a whole number, found '1b'"),
        ("annomi", "a.csv", csv("high,0,t,1,Client 1,0,Hm.,1"), "2: interlocutor: expected client or therapist, found"),
        ("annomi", "a.csv", csv("high,0,t,1,client"), "2: row: expected 8 values, found 5"),
        ("annomi", "ESConv.json", json.dumps(ESCONV), "expected a file ending in .csv, found '.json'"),
        ("epitome", "a.csv", csv(*ANNOMI), "found no sp_id but 'mi_quality'"),
        ("epitome", "none.csv", "", "expected EPITOME-Reddit with at least one reply, found none"),
        ("esconv", "a.csv", EPITOME, "expected a file ending in .json, .jsonl, .tsv, found '.csv'"),
        ("esconv", "a.json", '[{"dialog": [', "expected a JSON object, found broken JSON"),
        ("esconv", "a.json", json.dumps({"data": ESCONV}), "conversation 1: expected `dialog`, a list of turns"),
        ("esconv", "a.json", json.dumps([{"dialog": [{"speaker": "me", "content": SECRET}]}]), "conversation 1: exp"),
        ("esconv", "a.json", json.dumps([{"dialog": [{"speaker": "sys", "content": None}]}]), "conversation 1: exp"),
        ("esconv", "a.json", json.dumps([{"dialog": SECRET}]), "conversation 1: expected `dialog`"),
        ("esconv", "a.json", "[]", "expected ESConv with at least one reply, found none"),
        ("esconv", "a.tsv", f"text\tlabel\n{SECRET}\tnone\n", "a.tsv:1: expected turns as in devWithStrategy_short.tsv"),
        ("esconv", "a.tsv", f"1.0 1 0 [Other] Hm.\n1.0 0 1 {SECRET}\n", "a.tsv:2: expected turns as in "),
    ],
)  # fmt: skip
def test_other_files_are_refused_without_a_word_of_them(
    write: Write, corpus: str, name: str, content: str, message: str
) -> None:
    with pytest.raises(AsifError, match=message) as error:
        read_replies(corpus, write(name, content))
    assert SECRET not in str(error.value)


def test_other_encodings_and_absent_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv("high,0,t,0,therapist,0,It is “fine”.,1").encode("cp1252"))
    with pytest.raises(AsifError, match="expected UTF-8, found byte 0x93; save the file as UTF-8"):
        read_replies("annomi", path)
    with pytest.raises(AsifError, match=r"none\.csv: expected a file of rows, found nothing there"):
        read_replies("annomi", tmp_path / "none.csv")
