"""Environments of other servers, made from a wheel that lies beside."""

import subprocess
import zipfile

import pytest
from serve.bench.environments import environment

from asif_data.errors import AsifError


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with the only packages that pip can find."""
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": "SAYS = 'tiny'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Dist: absent\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def test_an_environment_has_the_packages_named_and_is_made_once(wheels):
    wanted = wheels / "tiny.txt"
    wanted.write_text("tiny==1.0\n")
    found = environment(wanted, wheels / "cache")
    said = subprocess.run([found / "python", "-c", "import tiny; print(tiny.SAYS)"], capture_output=True, text=True)
    assert said.stdout == "tiny\n"
    mark = found / "mark"
    mark.touch()
    assert environment(wanted, wheels / "cache") == found and mark.exists()
    wanted.write_text("# changed\ntiny==1.0\n")
    environment(wanted, wheels / "cache")
    assert not mark.exists()


def test_packages_that_cannot_be_had_are_one_sentence_and_asked_for_again(wheels):
    wanted = wheels / "other.txt"
    wanted.write_text("other==2.0\n")
    for _ in range(2):
        with pytest.raises(
            AsifError, match=r"other.txt: expected packages that can be installed; pip said: .*other==2.0"
        ):
            environment(wanted, wheels / "cache")
