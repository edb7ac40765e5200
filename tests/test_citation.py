"""CITATION.cff: what the Citation File Format 1.2.0 requires, and what pyproject.toml says as well."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# The top-level keys that the schema of version 1.2.0 knows.
KNOWN = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license",
    "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact", "repository-code",
    "title", "type", "url", "version",
}  # fmt: skip


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_has_the_required_keys_and_no_unknown_one(citation: dict[str, Any]) -> None:
    assert {"authors", "cff-version", "message", "title"} <= set(citation) <= KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in {"software", "dataset"}
    assert citation["authors"] == [{"name": "The asif authors"}]
    assert all(isinstance(citation[name], str) for name in set(citation) - {"authors", "keywords"})
    assert len(set(citation["keywords"])) == len(citation["keywords"])


def test_version_and_licence_are_those_of_the_project(citation: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
