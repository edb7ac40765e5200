"""The promises of serve/SECURITY.md name tests that exist, and the tools that it names work."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "serve" / "SECURITY.md").read_text(encoding="utf-8")
LINES = [line for line in SECURITY.splitlines() if re.match(r"\| (?!risk|promise|-)", line)]
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[2:30])
def test_each_line_names_tests_that_exist(line):
    named = NAMED.findall(line)
    assert named, "a promise that no test holds"
    for file, name in named:
        tree = ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_all_ten_risks_have_a_line():
    assert re.findall(r"^\| (API\d+) ", SECURITY, re.MULTILINE) == [f"API{i}" for i in range(1, 11)]


# .ci/audit


AUDITED = {"name": "one", "version": "1.0", "vulns": []}
HOLE = AUDITED | {
    "name": "two",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}],
}
SKIPPED = {"name": "three", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("printed", "status", "said"),
    [
        (json.dumps({"dependencies": [AUDITED]}), 0, ["Audited 1 of 1 packages, found 0 known holes."]),
        (
            json.dumps({"dependencies": [AUDITED, HOLE, SKIPPED]}),
            1,
            [
                "two 1.0: PYSEC-1, mended in 1.1",
                "Audited 2 of 3 packages, found 1 known holes.",
                "Not audited: 1 packages",
            ],
        ),
        (json.dumps({"dependencies": [SKIPPED]}), 0, ["Audited 0 of 1 packages", "Not audited: 1 packages"]),
        ("", 0, ["Not audited: ConnectionError: no way out"]),
    ],
)
def test_the_audit_says_what_it_asked_and_fails_on_a_hole_only(tmp_path, printed, status, said):
    ends = "" if printed else "; sys.stderr.write('Traceback\\nConnectionError: no way out\\n'); sys.exit(1)"
    (tmp_path / "pip_audit.py").write_text(f"import sys; sys.stdout.write({printed!r}){ends}")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (status, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(said) and all(line.startswith(start) for line, start in zip(lines, said, strict=True))
