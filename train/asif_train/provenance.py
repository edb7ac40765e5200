"""Where a figure comes from: the code, the model, the rows and the time that made it."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asif_data.rows import Row
from asif_serve.predictor import Predictor


def git_commit() -> str | None:
    """The commit of the checkout that this code runs from, with `-dirty` where files differ; None outside of one."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def rows_sha256(rows: Sequence[Row]) -> str:
    """SHA-256, in hex, of rows in their order with all their columns: reports that share it judged the same rows."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row.model_dump(), sort_keys=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def report_head(predictor: Predictor, schema_version: int) -> dict[str, Any]:
    """What a report on a served model says first: its schema version, the model, and what made it when."""
    return {"schema_version": schema_version, **model_head(predictor), **made_head()}


def model_head(predictor: Predictor) -> dict[str, Any]:
    """A served model by name and manifest, and its served form."""
    manifest = predictor.model.manifest
    return {
        "model": {"name": manifest.name, "version": manifest.version},
        "manifest_sha256": predictor.model.manifest_sha256,
        "form": predictor.form.file,
    }


def made_head() -> dict[str, Any]:
    """The time (UTC, ISO 8601) and the commit."""
    return {"created": datetime.now(UTC).isoformat(timespec="seconds"), "git_commit": git_commit()}
