"""The corpus' Croissant metadata: it has what Croissant 1.0 asks for, and tells of the very files that lie beside it."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from asif_data.croissant import METADATA, renew
from asif_data.errors import AsifError
from asif_data.rows import SPLITS, Row

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "data" / "corpus"


@pytest.fixture(scope="module")
def metadata() -> dict[str, Any]:
    return json.loads((CORPUS / METADATA).read_text(encoding="utf-8"))


def test_it_has_what_croissant_requires_of_a_dataset(metadata: dict[str, Any]) -> None:
    assert metadata["@type"] == "sc:Dataset"
    assert "http://mlcommons.org/croissant/1.0" in metadata["conformsTo"]
    required = {"@context", "name", "description", "license", "url", "creator", "datePublished"}
    assert [name for name in required if not metadata.get(name)] == []
    assert metadata["license"] == "https://spdx.org/licenses/Apache-2.0.html"
    assert metadata["@context"]["cr"] == "http://mlcommons.org/croissant/"
    assert (CORPUS / metadata["url"]).is_file()


def test_names_with_a_prefix_or_none_are_of_the_context(metadata: dict[str, Any]) -> None:
    context = metadata["@context"]
    schema_org = {
        "name", "description", "license", "url", "version", "datePublished", "creator", "inLanguage", "keywords",
        "distribution", "contentUrl", "contentSize", "encodingFormat", "sha256",
    }  # fmt: skip

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {*value, *(key for inner in value.values() for key in keys(inner))}
        return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()

    used = keys({name: value for name, value in metadata.items() if name != "@context"})
    prefixes = {name.partition(":")[0] for name in used if ":" in name}
    assert prefixes == {"rai"} <= set(context)
    assert {name for name in used if ":" not in name and not name.startswith("@")} <= schema_org | set(context)


def test_its_version_is_the_project_s(metadata: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["version"] == project["version"]


def test_it_names_every_row_file_with_its_size_and_hash(metadata: dict[str, Any]) -> None:
    told = [
        (entry["@id"], entry["contentUrl"], entry["contentSize"], entry["sha256"], entry["encodingFormat"])
        for entry in metadata["distribution"]
        if entry["@type"] == "cr:FileObject"
    ]
    assert told == [
        (name, name, f"{len(content)} B", hashlib.sha256(content).hexdigest(), "application/jsonlines")
        for name, content in ((f"{split}.jsonl", (CORPUS / f"{split}.jsonl").read_bytes()) for split in SPLITS)
    ], "run `asif-data croissant`"
    assert {path.name for path in CORPUS.glob("*.jsonl")} == {name for name, *_ in told}


def test_its_fields_are_the_corpus_columns(metadata: dict[str, Any], corpus_rows: list[Row]) -> None:
    [files] = [entry for entry in metadata["distribution"] if entry["@type"] == "cr:FileSet"]
    assert files["includes"] == [f"{split}.jsonl" for split in SPLITS]
    [records] = metadata["recordSet"]
    assert (records["@type"], records["key"]) == ("cr:RecordSet", {"@id": "utterances/id"})
    types = {"sc:Text": (str, type(None)), "sc:Boolean": (bool,)}
    columns = {column: [getattr(row, column) for row in corpus_rows] for column in corpus_rows[0].model_dump()}
    assert [field["name"] for field in records["field"]] == list(columns)
    for field in records["field"]:
        assert field["@type"] == "cr:Field"
        assert field["@id"] == f"utterances/{field['name']}"
        assert field["description"]
        if field["name"] == "votes":
            continue
        assert field["source"] == {"fileSet": {"@id": files["@id"]}, "extract": {"column": field["name"]}}
        assert all(isinstance(value, types[field["dataType"]]) for value in columns[field["name"]])


def test_its_votes_are_a_list_of_annotators_and_labels(metadata: dict[str, Any], corpus_rows: list[Row]) -> None:
    [votes] = [field for field in metadata["recordSet"][0]["field"] if field["name"] == "votes"]
    assert votes["repeated"] is True
    parts = corpus_rows[0].model_dump()["votes"][0]
    assert [part["name"] for part in votes["subField"]] == list(parts)
    for part in votes["subField"]:
        assert part["source"]["extract"] == {"column": "votes"}
        assert part["source"]["transform"] == {"jsonPath": f"$[*].{part['name']}"}


def test_responsible_ai_fields_say_who_wrote_and_who_annotated(metadata: dict[str, Any]) -> None:
    assert "http://mlcommons.org/croissant/RAI/1.0" in metadata["conformsTo"]
    assert "No row was ever said by a person" in metadata["rai:dataCollection"]
    assert "language model" in " ".join(metadata["rai:annotatorDemographics"])
    assert metadata["rai:annotationsPerItem"] == "3"


# Renewal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text("{}\n")
    (tmp_path / "b.jsonl").write_text("[]\n")
    entries = [{"@type": "cr:FileObject", "contentUrl": name} for name in ("a.jsonl", "b.jsonl")]
    told = {"name": "é", "distribution": [*entries, {"@type": "cr:FileSet", "includes": "*.jsonl"}]}
    (tmp_path / METADATA).write_text(json.dumps(told))
    return tmp_path


def test_only_files_that_changed_are_renewed(folder: Path) -> None:
    assert renew(folder) == ["a.jsonl", "b.jsonl"]
    before = (folder / METADATA).read_bytes()
    assert renew(folder) == []
    assert (folder / METADATA).read_bytes() == before
    (folder / "b.jsonl").write_text("[1]\n")
    assert renew(folder) == ["b.jsonl"]
    told = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    assert told["name"] == "é"
    assert told["distribution"][1] == {
        "@type": "cr:FileObject",
        "contentUrl": "b.jsonl",
        "contentSize": "4 B",
        "sha256": hashlib.sha256(b"[1]\n").hexdigest(),
    }
    assert told["distribution"][2] == {"@type": "cr:FileSet", "includes": "*.jsonl"}


def test_the_shipped_metadata_is_as_renewal_writes_it(metadata: dict[str, Any]) -> None:
    written = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    assert (CORPUS / METADATA).read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected Croissant metadata, found nothing there"),
        ("{", "expected Croissant metadata with a distribution, found something else"),
        ("[]", "expected Croissant metadata with a distribution, found something else"),
        ('{"distribution": [1]}', "expected Croissant metadata with a distribution, found something else"),
        ('{"distribution": [{"@type": "cr:FileObject"}]}', "contentUrl: expected a file beside it, found '.'"),
        (
            '{"distribution": [{"@type": "cr:FileObject", "contentUrl": "../a.jsonl"}]}',
            "contentUrl: expected a file beside it, found '../a.jsonl'",
        ),
        (
            '{"distribution": [{"@type": "cr:FileObject", "contentUrl": "c.jsonl"}]}',
            "expected c.jsonl beside it, which it names, found nothing there",
        ),
    ],
)
def test_other_metadata_is_refused_and_stays_as_it_was(folder: Path, content: str | None, message: str) -> None:
    path = folder / METADATA
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(AsifError, match=message):
        renew(folder)
    assert (path.read_text() if path.exists() else None) == content
