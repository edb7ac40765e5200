"""The Croissant metadata that lies beside rows (croissant.json): written by hand but for the hashes, which are renewed here.

Source: Croissant Format Specification 1.0 and its RAI vocabulary (MLCommons).
"""

import json
from pathlib import Path
from typing import Any

from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.model_dir import sha256

METADATA = "croissant.json"


def renew(folder: str | Path) -> list[str]:
    """Bring size and SHA-256 of the files that folder/croissant.json names up to date; the names of those that differed.

    Raises AsifError where it is no such metadata, or a file that it names is not in the folder.
    """
    path = Path(folder) / METADATA
    metadata = _read(path)
    renewed = []
    for entry in metadata["distribution"]:
        if entry["@type"] != "cr:FileObject":
            continue
        file = path.with_name(entry["contentUrl"])
        if not file.is_file():
            raise AsifError(f"{path}: expected {file.name} beside it, which it names, found nothing there.")
        found = {"contentSize": f"{file.stat().st_size} B", "sha256": sha256(file)}
        if found.items() - entry.items():
            entry |= found
            renewed.append(file.name)
    if renewed:
        write_atomically(path, json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
    return renewed


def _read(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        entries = [(entry["@type"], Path(entry.get("contentUrl", ""))) for entry in metadata["distribution"]]
    except OSError:
        raise AsifError(f"{path}: expected Croissant metadata, found nothing there.") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise AsifError(f"{path}: expected Croissant metadata with a distribution, found something else.") from None
    for kind, file in entries:
        if kind == "cr:FileObject" and (not file.name or len(file.parts) != 1):
            raise AsifError(f"{path}: contentUrl: expected a file beside it, found {str(file)!r}.")
    return metadata
