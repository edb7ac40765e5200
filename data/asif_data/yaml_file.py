"""YAML and JSON files that people write: label sets and recipes."""

import json
from pathlib import Path
from typing import Any

import yaml

from asif_data.errors import AsifError


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds, or a JSON file by its ending.

    Raises AsifError that names the line, and never repeats it: the file may be one of rows given by mistake.
    """
    path = Path(path)
    kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if kind == "JSON" else yaml.safe_load(text)
    except OSError as error:
        raise AsifError(f"{path}: expected a {kind} file, found: {error.strerror or error}.") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "it"
        raise AsifError(f"{path}: expected {kind}, found a broken file: {line} cannot be read.") from None
    except json.JSONDecodeError as error:
        raise AsifError(f"{path}: expected {kind}, found a broken file: line {error.lineno} cannot be read.") from None
    except (ValueError, RecursionError, yaml.YAMLError):
        raise AsifError(f"{path}: expected {kind} in UTF-8, found a broken file.") from None
