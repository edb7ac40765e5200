import asyncio
import gc
import json
import logging
import subprocess
import sys

import pytest

from asif_serve.logs import JsonLines

CANARY = "quetzalcoatlus-7f3a"


def line(**fields):
    record = logging.makeLogRecord({"name": "asif_serve", "levelname": "INFO", "msg": "request"} | fields)
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def failed():
    try:
        raise ValueError(f"cannot read {CANARY}")
    except ValueError:
        return sys.exc_info()


def test_a_record_is_one_json_object_with_its_facts():
    found = line(created=1_700_000_000.5, facts={"status": 200, "route": "/predict"})
    assert found == {
        "time": "2023-11-14T22:13:20.500+00:00",
        "level": "info",
        "logger": "asif_serve",
        "message": "request",
        "status": 200,
        "route": "/predict",
    }


def test_an_exception_is_told_by_its_kind_and_place_only():
    found = line(exc_info=failed(), msg=f"task failed\nfuture: <Task exception=ValueError('{CANARY}')>")
    assert (found["message"], found["error"]) == ("task failed", "ValueError")
    assert "in failed" in found["where"]
    assert CANARY not in json.dumps(found)


@pytest.mark.parametrize("message", ["two\nlines", 'a "quote"', "schlüssel \u2028 😀", "\x1b[31m\x00"])
def test_any_message_stays_on_one_line(message):
    assert line(msg=message)["message"] == message


def test_a_task_that_nobody_waits_for_does_not_print_what_it_read(caplog):
    async def main():
        async def read():
            raise ValueError(CANARY)

        task = asyncio.get_running_loop().create_task(read())
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())
    [record] = [record for record in caplog.records if record.name == "asyncio"]
    assert CANARY in record.getMessage()  # else this test would show nothing
    assert CANARY not in JsonLines().format(record)


def test_a_line_that_cannot_be_written_prints_nothing_else():
    code = (
        "import logging; from asif_serve.logs import set_up; set_up('info')\n"
        f"try: int('{CANARY}')\n"
        "except ValueError: logging.getLogger('asif_serve').info('x', extra={'facts': {'fact': object()}})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


CRASHES = {
    "main": "raise ValueError(canary)",
    "thread": "t = threading.Thread(target=lambda: int(canary)); t.start(); t.join()",
    "library": "logging.getLogger('other').warning('a warning')",
    "own": "logging.getLogger('asif_serve').info('told'); logging.getLogger('asif_serve').debug('not told')",
}


@pytest.mark.parametrize(
    ("crash", "level", "logger", "message", "error"),
    [
        ("main", "critical", "asif_serve", "crashed", "ValueError"),
        ("thread", "critical", "asif_serve", "crashed", "ValueError"),
        ("library", "warning", "other", "a warning", None),
        ("own", "info", "asif_serve", "told", None),
    ],
)
def test_what_a_process_says_is_json_on_stderr(crash, level, logger, message, error):
    code = f"import logging, threading; from asif_serve.logs import set_up; set_up('info'); canary = '{CANARY}'\n"
    done = subprocess.run([sys.executable, "-c", code + CRASHES[crash]], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    [found] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (found["level"], found["logger"], found["message"]) == (level, logger, message)
    assert found.get("error") == error
    assert CANARY not in done.stderr
