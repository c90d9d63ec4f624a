"""What only a process of its own can show: interrupts, readers that go away, a full disk."""

from __future__ import annotations

import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM

ENDLESS = "select count(*) from range(100000000000) a, range(1000) b where hash(a.range) = b.range"
LONG = "select * from range(60000)"


def started(*words, **more):
    """Start the program as a terminal does: tests that run in the background have interrupts ignored, and children inherit it."""
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    words = [*PROGRAM, *map(str, words)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, preexec_fn=heed, **more)  # noqa: PLW1509 - one thread


@pytest.mark.parametrize("after_s", [0.15, 1.5])
def test_interrupt(lake, after_s):
    process = started("sql", "--lake", lake, ENDLESS, stdout=subprocess.PIPE)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err == "vison-etl: interrupted; what was finished is kept, run the same command again to go on\n"


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_reader_that_goes_away(lake, form):
    process = started("sql", "--lake", lake, "--format", form, LONG, stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() in {"range", "["}
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(20) == 141


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sql", "--help"], ["metatest"]])
def test_reader_that_is_not_there(words):
    process = started(*words, stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(20) == 141


@pytest.mark.parametrize("form", ["table", "csv"])
def test_full_disk(lake, form):
    with Path("/dev/full").open("w") as full:
        process = started("sql", "--lake", lake, "--format", form, "select 1", stdout=full)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("vison-etl: ")
    assert "No space left on device" in err
    assert err.count("\n") == 1
