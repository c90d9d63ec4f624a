"""Waiting for an answer in a way that an interrupt ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_LOOK_EVERY_S = 0.2
"""An interrupt may be delivered to any thread; this one hears of it when it wakes."""


def wait_for(work: Callable[[], Answer]) -> Answer:
    """Return what ``work`` returns, or raise what it raises.

    It runs in a thread of its own, which an interrupt leaves behind: DuckDB does not look for one while it computes.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
    if errors:
        raise errors[0]
    return answers[0]
