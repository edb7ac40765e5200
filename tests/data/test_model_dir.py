"""The model directory: whole or refused by name, and moved into service in one step."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asif_data.encoding import ENCODING_VERSION
from asif_data.errors import AsifError
from asif_data.labels import LABELS
from asif_data.model_dir import (
    CARD,
    MANIFEST,
    ONNX_FP32,
    PROMOTIONS,
    REPORT,
    TOKENIZER,
    Manifest,
    current,
    hash_files,
    load,
    promote,
    sha256,
    staged,
)
from asif_data.model_dir import (
    promotions as read_promotions,
)

Fill = Callable[..., Path]
FILES = ("config.json", "model.safetensors", TOKENIZER, ONNX_FP32)


def _form(file: str) -> dict[str, Any]:
    numbers = {"rows": 10, "macro_f1_loss": 0.0, "decisions_changed": 0.0, "rows_per_second": 100.0}
    return {"file": file, "precision": "fp32"} | numbers


@pytest.fixture
def models(tmp_path: Path, fill: Fill) -> Path:
    """A models folder with versions v1 and v2, none of them promoted."""
    for version in ("v1", "v2"):
        fill(tmp_path / "models" / version, version)
    return tmp_path / "models"


@pytest.fixture
def model(models: Path) -> Path:
    return models / "v1"


def edit(model: Path, **fields: object) -> None:
    manifest = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(manifest | fields))


def promotions(models: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (models / PROMOTIONS).read_text().splitlines()]


# Loading


def test_a_whole_directory_loads_with_its_manifest(model: Path) -> None:
    found = load(model)
    assert found.path == model.resolve()
    assert found.manifest.labels == list(LABELS)
    assert found.manifest_sha256 == sha256(model / MANIFEST)
    assert found.file(ONNX_FP32).read_text() == f"{ONNX_FP32} of v1"


def test_every_file_is_hashed_but_the_manifest_and_what_comes_after_it(model: Path) -> None:
    (model / REPORT).write_text("{}")
    (model / CARD).write_text("# Tiny")
    assert set(load(model).manifest.sha256) == set(hash_files(model)) == set(FILES)


def test_a_folder_without_a_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"expected a model directory with manifest\.json, found none; train one"):
        load(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match="gone: expected a model directory"):
        load(tmp_path / "gone")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(AsifError, match=f"{name}: expected this file of the model, found it missing"):
        load(model)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(model: Path, name: str) -> None:
    with (model / name).open("a") as file:
        file.write(" ")
    with pytest.raises(AsifError, match=f"{name}: expected SHA-256 .*, found a changed file"):
        load(model)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_this_user_may_not_read_is_named(model: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:  # root may read all: a closed file would not do
        if self == model / name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AsifError, match=rf"{name}: expected a file that this user may read; change its mode\.$"):
        load(model)


@pytest.mark.parametrize("name", ["../v2/config.json", "/dev/null", "onnx/../../v2/config.json"])
def test_a_file_outside_the_directory_is_refused(model: Path, name: str) -> None:
    hashes = json.loads((model / MANIFEST).read_text())["sha256"]
    edit(model, sha256=hashes | {name: sha256(model / "../v2/config.json")})
    with pytest.raises(AsifError, match=f"expected files inside the model directory, found '{name}'"):
        load(model)


def test_a_link_out_of_the_directory_is_refused(model: Path) -> None:
    (model / TOKENIZER).unlink()
    (model / TOKENIZER).symlink_to("../v2/tokenizer.json")
    with pytest.raises(AsifError, match=r"inside the model directory, found 'tokenizer\.json'"):
        load(model)


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_an_unknown_schema_version_is_refused(model: Path, found: object) -> None:
    edit(model, schema_version=found)
    with pytest.raises(AsifError, match=f"{MANIFEST}: expected schema_version 1, found {found!r}; use the asif that"):
        load(model)


def test_a_newer_schema_is_called_so_whatever_its_fields(model: Path) -> None:
    (model / MANIFEST).write_text('{"schema_version": 2, "models": []}')
    with pytest.raises(AsifError, match="expected schema_version 1, found 2"):
        load(model)


def test_an_unknown_encoding_is_refused(model: Path) -> None:
    edit(model, encoding_version=ENCODING_VERSION + 1)
    with pytest.raises(
        AsifError, match=f"{MANIFEST}: expected encoding_version 1, found 2; use the asif that wrote it"
    ):
        load(model)


@pytest.mark.parametrize("content", [b"", b'{"schema_version": 1', b"\xff\xfe{}", b"weights"])
def test_a_manifest_that_is_no_json_is_refused(model: Path, content: bytes) -> None:
    (model / MANIFEST).write_bytes(content)
    with pytest.raises(AsifError, match=f"{MANIFEST}: expected JSON, found a broken file"):
        load(model)


def test_a_manifest_that_is_no_object_is_refused(model: Path) -> None:
    (model / MANIFEST).write_text("[1]")
    with pytest.raises(AsifError, match="expected schema_version 1, found 'list'"):
        load(model)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", ["empathy"]),
        ("max_tokens", 2),
        ("created", "yesterday"),
        ("forms", []),
        ("sha256", None),
        ("notes", "a field of its own"),
    ],
)
def test_a_bad_field_of_the_manifest_is_named(model: Path, field: str, value: object) -> None:
    edit(model, **{field: value})
    with pytest.raises(AsifError, match=f"{MANIFEST}: {field}: "):
        load(model)


@pytest.mark.parametrize(
    ("field", "value"), [("temperature", 0), ("temperature", -1), ("scope_threshold", 1.5), ("set_coverage", 1)]
)
def test_a_calibration_out_of_range_is_named(model: Path, field: str, value: float) -> None:
    calibration = json.loads((model / MANIFEST).read_text())["calibration"]
    edit(model, calibration=calibration | {field: value})
    with pytest.raises(AsifError, match=f"{MANIFEST}: calibration.{field}: "):
        load(model)


def test_a_missing_field_of_the_manifest_is_named(model: Path) -> None:
    manifest = json.loads((model / MANIFEST).read_text())
    del manifest["corpus_sha256"]
    (model / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(AsifError, match=f"{MANIFEST}: corpus_sha256: "):
        load(model)


def test_a_form_without_a_hash_is_refused(model: Path) -> None:
    edit(model, forms=[_form(ONNX_FP32), _form("onnx/other.onnx")])
    with pytest.raises(AsifError, match=r"expected a hash for onnx/other\.onnx, found none"):
        load(model)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shared_model(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> Path:
    return fill(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def good_manifest(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> dict[str, Any]:
    return json.loads((fill(tmp_path_factory.mktemp("good")) / MANIFEST).read_text())


@settings(deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_for_a_manifest_are_refused(shared_model: Path, content: bytes) -> None:
    (shared_model / MANIFEST).write_bytes(content)
    with pytest.raises(AsifError):
        load(shared_model)


@settings(deadline=None)
@given(field=st.sampled_from(sorted(Manifest.model_fields)), value=JSON)
def test_any_value_in_a_manifest_loads_or_is_refused(
    shared_model: Path, good_manifest: dict[str, Any], field: str, value: object
) -> None:
    (shared_model / MANIFEST).write_text(json.dumps(good_manifest | {field: value}))
    try:
        found = load(shared_model)
    except AsifError as error:
        assert MANIFEST in str(error)
    else:
        assert found.manifest.sha256 == hash_files(shared_model)


# The report


@pytest.mark.parametrize("content", [None, "", "{", '{"manifest_sha256": "of another model"}', "{}"])
def test_a_report_that_is_not_of_this_model_is_none(model: Path, content: str | None) -> None:
    if content is not None:
        (model / REPORT).write_text(content)
    assert load(model).report() is None


def test_a_report_of_this_manifest_is_returned(model: Path) -> None:
    report = {"manifest_sha256": sha256(model / MANIFEST), "macro_f1": 0.9}
    (model / REPORT).write_text(json.dumps(report))
    assert load(model).report() == report


# Promotion


def test_nothing_is_current_before_a_promotion(models: Path) -> None:
    assert current(models) is None
    assert current(models / "gone") is None


def test_a_promoted_version_is_current_and_logged(models: Path) -> None:
    promoted = promote(models, "v1", "first model")
    assert current(models) == promoted.path == (models / "v1").resolve()
    [entry] = promotions(models)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "version": "v1",
        "previous": None,
        "manifest_sha256": sha256(models / "v1" / MANIFEST),
        "reason": "first model",
    }


def test_the_log_grows_and_names_the_version_before(models: Path) -> None:
    for version in ("v1", "v2", "v1"):
        promote(models, version, "by hand")
    assert [(entry["version"], entry["previous"]) for entry in promotions(models)] == [
        ("v1", None),
        ("v2", "v1"),
        ("v1", "v2"),
    ]


def test_a_version_that_does_not_verify_changes_nothing(models: Path) -> None:
    promote(models, "v1", "first model")
    before = sorted(models.iterdir()), (models / PROMOTIONS).read_text()
    (models / "v2" / TOKENIZER).unlink()
    for version in ("v2", "v3"):
        with pytest.raises(AsifError, match=version):
            promote(models, version, "by hand")
    assert current(models) == (models / "v1").resolve()
    assert (sorted(models.iterdir()), (models / PROMOTIONS).read_text()) == before


def test_the_log_keeps_what_the_gate_measured_and_is_read_back(models: Path) -> None:
    promote(models, "v1", "first model")
    promote(models, "v2", "we need it today", forced=True, gate={"failures": ["worse"]})
    promote(models, "v1", "rollback", rollback=True)
    first, second, third = read_promotions(models)
    assert (first.version, first.forced, first.rollback, first.gate) == ("v1", False, False, None)
    assert (second.forced, second.gate, second.reason) == (True, {"failures": ["worse"]}, "we need it today")
    assert (third.version, third.previous, third.rollback) == ("v1", "v2", True)


def test_without_a_log_nothing_was_promoted(models: Path) -> None:
    assert read_promotions(models) == []


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{", "line"),
        (b"\xff", "line"),
        (b"[]", "line"),
        (b'{"version": "v1"}', "time"),
        (b"", "line"),
    ],
)
def test_a_broken_line_of_the_log_is_named(models: Path, line: bytes, field: str) -> None:
    promote(models, "v1", "first model")
    with (models / PROMOTIONS).open("ab") as log:
        log.write(line + b"\n")
    with pytest.raises(AsifError, match=rf"{PROMOTIONS}:2: {field}: .*; mend or delete the line"):
        read_promotions(models)


def test_a_promotion_leaves_only_the_link_and_the_log(models: Path) -> None:
    promote(models, "v1", "first model")
    promote(models, "v2", "by hand")
    assert {path.name for path in models.iterdir()} == {"v1", "v2", "current", PROMOTIONS}


def test_the_link_holds_where_the_models_folder_moves(models: Path, tmp_path: Path) -> None:
    promote(models, "v1", "first model")
    models.rename(tmp_path / "moved")
    assert current(tmp_path / "moved") == (tmp_path / "moved" / "v1").resolve()


def test_a_link_to_a_removed_version_is_none(models: Path) -> None:
    promote(models, "v1", "first model")
    shutil.rmtree(models / "v1")
    assert current(models) is None


def test_a_reader_always_finds_a_model_while_versions_change(models: Path) -> None:
    promote(models, "v1", "first model")
    done = threading.Event()
    link = models / "current"
    seen: set[bool] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(link.exists())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for n in range(60):
            promote(models, f"v{n % 2 + 1}", "by hand")
    finally:
        done.set()
        reader.join()
    assert seen == {True}


# Writing


def test_a_staged_directory_appears_whole(tmp_path: Path, fill: Fill) -> None:
    final = tmp_path / "v1"
    with staged(tmp_path / ".runs" / "v1" / "model", final) as folder:
        fill(folder)
        assert not final.exists()
    assert load(final).manifest.version == "v1"
    assert not folder.exists()


def test_a_staged_directory_that_fails_is_never_seen(tmp_path: Path, fill: Fill) -> None:
    final = tmp_path / "v1"

    def build() -> None:
        with staged(tmp_path / ".runs" / "v1" / "model", final) as folder:
            fill(folder)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build()
    assert [path.name for path in tmp_path.iterdir()] == [".runs"]


def test_a_version_is_never_overwritten(models: Path, tmp_path: Path) -> None:
    stage = staged(tmp_path / "stage", models / "v1")
    with pytest.raises(AsifError, match="v1: expected no model of this version, found one"), stage:
        pytest.fail("nothing may be built")
    assert load(models / "v1").manifest.version == "v1"
    assert not (tmp_path / "stage").exists()


def test_a_file_that_the_manifest_does_not_name_is_refused(model: Path) -> None:
    (model / "head.pkl").write_bytes(b"\x80")
    with pytest.raises(AsifError, match=r"head\.pkl: expected only files that"):
        load(model)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_manifest_must_hash_what_a_model_is_made_of(model: Path, name: str) -> None:
    hashes = json.loads((model / "manifest.json").read_text())["sha256"]
    edit(model, sha256={key: value for key, value in hashes.items() if key != name})
    with pytest.raises(AsifError, match=name):
        load(model)


@pytest.mark.parametrize("version", ["../models/v1", "current", ""])
def test_only_a_version_in_the_folder_is_promoted(models: Path, version: str) -> None:
    with pytest.raises(AsifError, match="name of a version"):
        promote(models, version, "test")
    assert current(models) is None
