"""The packaged encoder is the upstream checkpoint or nothing."""

import shutil
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_train import base_model


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(base_model.locate().location, folder)
    monkeypatch.setattr(base_model, "_package_folder", lambda: folder)
    return folder


def test_the_packaged_encoder_has_the_upstream_hash() -> None:
    assert base_model.locate().sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_is_refused_by_name(package: Path, name: str) -> None:
    with (package / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(AsifError, match=name):
        base_model.locate()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_missing_file_is_refused_by_name(package: Path, name: str) -> None:
    (package / name).unlink()
    with pytest.raises(AsifError, match=f"{name}.*missing"):
        base_model.locate()


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"model\.safetensors"):
        base_model.locate(str(tmp_path))
