"""Where a figure comes from: the code, the model and the time that made it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


def report_head(predictor: Predictor, schema_version: int) -> dict[str, Any]:
    """What a report on a served model says first: its schema version, the model by name and manifest, the served form, time and commit."""
    manifest = predictor.model.manifest
    return {
        "schema_version": schema_version,
        "model": {"name": manifest.name, "version": manifest.version},
        "manifest_sha256": predictor.model.manifest_sha256,
        "form": predictor.form.file,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
    }
