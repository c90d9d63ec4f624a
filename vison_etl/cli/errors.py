"""One clear line for each error; no traceback reaches a user."""

from __future__ import annotations

import os
import sys

from vison_etl.cli.text import printable

USAGE = 2
INTERRUPTED = 130
UNREAD = 141
"""What a shell reports for a program whose reader went away, as ``head`` does."""

_LONGEST = 1200


class UsageError(ValueError):
    """An option or argument that cannot be used; the message names it and the remedy."""


def complain(message: str) -> None:
    """Write one line to stderr."""
    line = printable(" ".join(message.split()))
    sys.stderr.write(f"vison-etl: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'}\n")
    sys.stderr.flush()


def explain(error: Exception) -> str:
    """Return the line for an error that reached the top: its own words if it was made for people, else where the details are."""
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename) if _is_path(error.filename) else 'file system'}: {error.strerror}"
    if type(error).__module__.startswith("vison_etl.") or isinstance(error, OSError):
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return text or type(error).__name__
    if hasattr(error, "format_message"):
        return _usage(error, str(error.format_message()))
    if isinstance(error, MemoryError):
        return "not enough memory; use fewer --jobs, or ask for less at once"
    return f"internal error, {type(error).__name__}: {error}; {_details(error)}"


def one_of(option: str, value: str, known: tuple[str, ...]) -> UsageError:
    """Return the error for a value that is none of a few; it names the nearest, or all."""
    from difflib import get_close_matches

    near = get_close_matches(value.lower(), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"{option} {value}: {hint}one of {', '.join(known)}")


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes)) and bool(name)


def _usage(error: Exception, text: str) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "vison-etl"
    words = " ".join(text.split()).rstrip(".").removeprefix("Invalid value: ")
    return f"{words[:1].lower()}{words[1:]}{'' if words.endswith('?') else ';'} see `{command} --help`"


def _details(error: Exception) -> str:
    import tempfile
    import traceback

    try:
        handle, name = tempfile.mkstemp(prefix="vison-etl-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as details:
            traceback.print_exception(error, file=details)
    except OSError:
        return "run it again with VISON_ETL_DEBUG=1 for the details, and report them"
    return f"details in {name}, please report them"
