"""`asif-serve` in processes of its own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.serve.load import metrics

COMMAND = Path(sys.executable).with_name("asif-serve")


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    count: int

    def workers(self) -> list[int]:
        """Process ids of the workers: the supervisor's grandchildren, or the only process."""
        if self.count == 1:
            return [self.process.pid]
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
        living = [line.split()[:2] for line in lines.splitlines() if "Z" not in line.split()[2]]
        parents = {int(pid): int(parent) for pid, parent in living}
        return [pid for pid, parent in parents.items() if parents.get(parent) == self.process.pid]

    async def whole(self) -> bool:
        """Whether all workers answer."""
        return (await metrics(self.port)).get(("asif_workers",)) == self.count

    def memory(self) -> float:
        """Resident memory of the workers, MB."""
        pids = ",".join(map(str, self.workers()))
        sizes = subprocess.run(["ps", "-o", "rss=", "-p", pids], capture_output=True, text=True, check=True).stdout
        return sum(map(int, sizes.split())) / 1024


def environment(folder: Path, model: Path, **variables: str) -> dict[str, str]:
    """Environment variables for a server of this model, with `folder` for temporary files; it logs complaints only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASIF_")}
    return kept | {"ASIF_MODEL": str(model), "TMPDIR": str(folder), "ASIF_LOG_LEVEL": "warning"} | variables


@contextmanager
def running(folder: Path, model: Path, patience: float = 120, **variables: str) -> Iterator[Running]:
    """A server on a free port, killed after `patience` seconds; what it prints to stderr is in `folder/log`."""
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [COMMAND, "--port", "0"],
            env=environment(folder, model, **variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watchdog = threading.Timer(patience, process.kill)
    watchdog.start()
    try:
        assert process.stdout
        found = re.findall(r"on http://127\.0\.0\.1:(\d+),", process.stdout.readline())
        assert found, log.read_text()
        yield Running(process, int(found[0]), log, int(variables.get("ASIF_WORKERS", "1")))
    finally:
        process.terminate()
        process.communicate(timeout=60)
        watchdog.cancel()
