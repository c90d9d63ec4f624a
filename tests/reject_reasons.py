"""Every reason for which ingest can refuse something, read from the source: what ``docs/rejects.md`` must explain.

Reasons are literals where an error or a reject is made. A place where this cannot be seen is an error here, so that a new way of
making rejects does not go unnoticed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "vison_etl"
READERS = ("files", "fits", "frames", "bands", "explog", "housekeeping")
"""Modules of ``elvis`` that refuse files; ``files`` opens logs and housekeeping as well as frames."""

_PLACE = {"FrameError": 0, "HkError": 0, "LogError": 0, "Refused": 0, "FileAt": 2, "row_reject": 1, "reject": 3}
"""Argument that holds the reason."""


def reject_reasons() -> dict[str, set[str]]:
    """Return the reasons by kind of reject."""
    said = {name: set[str]() for name in _PLACE} | {"dict": set[str]()}
    of_hk: set[str] = set()
    sources = [PACKAGE / "elvis" / f"{name}.py" for name in READERS]
    sources += [*sorted((PACKAGE / "pipeline").glob("*ingest*.py")), PACKAGE / "pipeline" / "worker.py"]
    shared: set[str] = set()
    for source in sources:
        for function, maker, reasons in _made_in(source):
            if maker == "Refused" and "frame" not in function:
                of_hk |= reasons
            if maker != "Refused" or "hk" not in function:
                said[maker] |= reasons
            if source.stem == "files":
                shared |= reasons
    rows = said["FrameError"] | said["Refused"] | said["FileAt"] | said["row_reject"] | said["reject"]
    return {
        "log_row": {"missing_file" if word == "missing" else word for word in rows},
        "log_file": said["LogError"] | shared,
        "frame_file": said["dict"],
        "hk_file": {f"{word}_hk" for word in said["HkError"] | shared | of_hk},
    }


def _made_in(source: Path) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (function around it, what is made, reasons) for every place in a file where a reason is given."""
    for function, node in _with_function(ast.parse(source.read_text(encoding="utf-8")), ""):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            reason = _argument(node, _PLACE[name]) if name in _PLACE else None
            if reason is not None:
                yield function, name, _words(reason, f"{source.name}:{node.lineno}")
        elif isinstance(node, ast.Dict) and function not in _PLACE:
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "reason":
                    yield function, "dict", _words(value, f"{source.name}:{value.lineno}")


def _with_function(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else function
        yield inside, child
        yield from _with_function(child, inside)


def _argument(call: ast.Call, place: int) -> ast.expr | None:
    if len(call.args) > place:
        return call.args[place]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "reason"), None)


def _words(node: ast.expr, where: str) -> set[str]:
    """Return the words an expression may be; none for a reason that comes from elsewhere (``error.reason``, ``row["reason"]``)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value} - {""}
    if isinstance(node, ast.Constant) and node.value is None:
        return set()
    if isinstance(node, ast.IfExp):
        return _all_words([node.body, node.orelse], where)
    if isinstance(node, ast.BoolOp):
        return _all_words(node.values, where)
    if "reason" in ast.unparse(node).lower():
        return set()
    raise AssertionError(f"{where}: the reason of a reject is neither a word nor passed on: {ast.unparse(node)}")


def _all_words(nodes: Iterable[ast.expr], where: str) -> set[str]:
    return set[str]().union(*(_words(node, where) for node in nodes))
