"""Where the command line begins and ends. Nothing is imported before an interrupt can be answered."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from vison_etl.cli.errors import INTERRUPTED, USAGE, complain, explain


def main() -> None:
    """Run the command line; every error becomes one line on stderr and exit code 2."""
    pressed = _watch_interrupts()
    try:
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("VISON_ETL_DEBUG"):
            raise
        code = INTERRUPTED if pressed else USAGE
        if not pressed:
            complain(explain(error))
    if code == INTERRUPTED:
        _end_at_once()
    raise SystemExit(code)


def _end_at_once() -> NoReturn:
    """End with what is going on in other threads: a question to DuckDB may take hours, and leaves nothing to tidy up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    complain("interrupted; what was finished is kept, run the same command again to go on")
    os._exit(INTERRUPTED)


def _watch_interrupts() -> list[int]:
    """Note each interrupt in the list returned: libraries turn the exception that it raises into errors of their own."""
    pressed: list[int] = []

    def note(number: int, _frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    return pressed


def _run() -> int:
    _one_thread_of_algebra()
    from vison_etl.cli.commands import app
    from vison_etl.cli.console import prepare_streams

    prepare_streams()
    return int(app(standalone_mode=False) or 0)


def _one_thread_of_algebra() -> None:
    """Keep linear algebra to one thread, as in workers: its matrices are small, and sums then have one order on every machine."""
    from vison_etl.one_thread import ALGEBRA

    for name in ALGEBRA:
        os.environ.setdefault(name, "1")


def __getattr__(name: str) -> object:
    if name == "app":
        from vison_etl.cli.commands import app

        return app
    raise AttributeError(f"module vison_etl.cli.app has no attribute {name}")
