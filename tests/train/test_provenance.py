"""Where a figure comes from."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asif_train import provenance
from asif_train.provenance import git_commit


def test_the_commit_is_that_of_the_checkout() -> None:
    found = git_commit()
    if found is not None:  # the tests may run outside of a checkout
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)


def test_a_changed_file_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "provenance.py"
    shutil.copy(str(provenance.__file__), file)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(file))
    clean = git_commit()
    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    file.write_text("changed")
    assert git_commit() == f"{clean}-dirty"


def test_outside_of_a_checkout_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert git_commit() is None


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None
