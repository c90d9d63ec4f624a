"""Digests of the code behind a function: of every definition it reaches within the rooms that numbers are made in.

Comments, docstrings, annotations, the words of error messages and the place of a line do not count; the version of Python
does not either. Reached is what a name refers to, through imports, whether it is called or not: rather too much than too little.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("vison_etl.pixels", "vison_etl.effects", "vison_etl.instrument")
DECLARATIONS = ("vison_etl.effects.declare", "vison_etl.effects.registry")
"""They say what there is, not how it is computed."""

Place = tuple[str, str]
"""Module and name of a definition; without a name the module itself."""

_SILENT_FIELDS = frozenset({"type_comment", "type_params", "kind", "ctx"})


@dataclass(frozen=True, slots=True)
class Module:
    """Definitions of a module by name, and its imports: local name -> place."""

    definitions: Mapping[str, ast.stmt]
    imports: Mapping[str, Place]


def digests(root: Place) -> dict[str, str]:
    """Return digest by qualified name of every definition that ``root`` reaches, itself included, sorted."""
    seen: dict[str, str] = {}
    waiting = [root]
    while waiting:
        module, name = waiting.pop()
        node = _module(module).definitions.get(name)
        if node is not None and f"{module}.{name}" not in seen:
            seen[f"{module}.{name}"] = hashlib.sha256(_dump(node).encode()).hexdigest()[:12]
            waiting += _reached(module, node)
    return dict(sorted(seen.items()))


def is_counted(module: str) -> bool:
    """Tell whether what is in a module can change a number."""
    in_room = any(module == room or module.startswith(f"{room}.") for room in ROOMS)
    return in_room and module not in DECLARATIONS and not module.endswith("charts")


@cache
def _module(name: str) -> Module:
    """Read a module; what it imports from elsewhere is a definition too: the statement that says whence."""
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, Place] = {}
    for node in _Bare().visit(ast.parse(_file(name).read_text(encoding="utf-8"))).body:
        imports |= _imports([node])
        definitions |= {bound: part for bound, part in _bound(node) if bound not in imports}
    return Module(definitions, imports)


class _Bare(ast.NodeTransformer):
    """Takes annotations and texts without use off a module."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                setattr(node, name, ast.Constant(None))
        return super().generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _bound(node: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a statement binds, with what they mean."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, node
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from ((n.id, node) for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            source = node.module if isinstance(node, ast.ImportFrom) else None
            one = ast.ImportFrom(source, [alias], 0) if source else ast.Import([alias])
            yield alias.asname or alias.name.partition(".")[0], one


def _imports(nodes: Iterable[ast.AST]) -> dict[str, Place]:
    """Return what the imports among nodes, however deep, bind from the rooms that count."""
    found: dict[str, Place] = {}
    for part in (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.ImportFrom)):
        for alias in part.names:
            inner = f"{part.module}.{alias.name}"
            place = (inner, "") if _file(inner).exists() else (str(part.module), alias.name)
            if is_counted(place[0]):
                found[alias.asname or alias.name] = place
    return found


def _reached(module: str, node: ast.stmt) -> Iterator[Place]:
    known = _module(module)
    imports = {**known.imports, **_imports([node])}
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            place = imports.get(part.value.id)
            if place is not None and not place[1]:
                yield place[0], part.attr
        if isinstance(part, ast.Name):
            yield imports.get(part.id, (module, part.id))


def _dump(node: object) -> str:
    """Return the structure of a piece of code as text."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r}"
    if isinstance(node, ast.Raise):
        return f"Raise({_dump(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)})"
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in _SILENT_FIELDS)
        said = [f"{name}={_dump(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({','.join(said)})"
    return repr(node)
