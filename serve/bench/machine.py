"""What a figure depends on beside the code: processor, memory, versions, and what else the machine was doing."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_SETS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_PACKAGES = (
    "onnxruntime",
    "tokenizers",
    "fastapi",
    "uvicorn",
    "httptools",
    "uvloop",
    "pydantic",
    "transformers",
    "torch",
)


def machine() -> str:
    """The machine in one line."""
    name, sets = _processor()
    memory = psutil.virtual_memory().total / 2**30
    found = f"{os.cpu_count()} cores of {name} ({', '.join(sets) or 'no vector sets known'}), {memory:.0f} GB"
    return f"{found}; {platform.system()} {platform.release()}; Python {platform.python_version()}"


def busy() -> str:
    """How busy the machine has been with other things in the last minute."""
    return f"load average {os.getloadavg()[0]:.2f}"


def here() -> str:
    """Versions of what runs in this environment."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def pinned(requirements: Path) -> str:
    """Versions of what counts in a file of requirements: its first package, torch and transformers."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    told = pins[:1] + [pin for pin in pins[1:] if pin[0] in {"torch", "transformers"}]
    return ", ".join(" ".join(pin) for pin in told)


def _processor() -> tuple[str, list[str]]:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    return name[1] if name else platform.processor() or platform.machine(), [one for one in _SETS if one in known]
