"""One clear line for each error; no traceback reaches a user."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

USAGE = 2


def fail(message: str) -> None:
    """Write one line to stderr and leave with exit code 2."""
    sys.stderr.write(f"vison-etl: {' '.join(message.split())}\n")
    raise SystemExit(USAGE)


def explain(error: Exception) -> str:
    """Return the line for an error that reached the top: its own words if it was made for people, else where the details are."""
    if type(error).__module__.startswith("vison_etl.") or isinstance(error, (FileNotFoundError, PermissionError)):
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return text or type(error).__name__
    if isinstance(error, OSError):
        return f"{error.filename or 'file system'}: {error.strerror or error}"
    handle, name = tempfile.mkstemp(prefix="vison-etl-error-", suffix=".txt")
    with os.fdopen(handle, "w") as details:
        traceback.print_exception(error, file=details)
    return f"internal error, {type(error).__name__}: {error}; details in {Path(name)}, please report them"
