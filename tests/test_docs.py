"""The documents say what the code does and name what is there; no file says where it was made."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.reject_reasons import reject_reasons
from vison_etl.campaign.limits import flag_table

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
_SOURCES = (".py", ".toml", ".md", ".sql", ".csv")
_OF_USERS = {"lake"}
"""Folders of the repository whose name users have for something of their own."""

_PLACES_AND_HOSTS = (
    r"(?<![\w.$<{}-])/(?:home|root|Users|work|workspace|mnt)/[A-Za-z0-9_]",
    r"[A-Z]:\\Users\\",
    r"pypi\.(?:org|python)",
    r"pythonhosted\.",
    r"(?:repo|conda)\.anaconda\.",
    r"registry\.npmjs\.",
    r"[i]ndex[-_]url\b",
    r"[a]rtifactory",
    r"[d]evpi",
)
_NOT_OURS = re.compile("|".join(_PLACES_AND_HOSTS))


@cache
def repository_files() -> tuple[Path, ...]:
    """Return what belongs to the repository, committed or about to be; where there is no git, all that is in its folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
        found = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        folders = ("vison_etl", "sql", "tests", "benchmarks", "docs")
        found = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    return tuple(path for path in found if path.is_file())


def reasons_of_the_page() -> dict[str, set[str]]:
    """Return the words that ``docs/rejects.md`` explains, by the kind that its headings name."""
    text = (ROOT / "docs" / "rejects.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {
        section.split("`")[1]: set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        for section in sections
        if section.startswith("`")
    }


def test_every_reason_of_a_reject_is_explained_and_no_other():
    assert reasons_of_the_page() == reject_reasons()


def test_the_reasons_found_in_the_source_are_those_that_happen():
    found = reject_reasons()
    assert {"truncated", "missing_file", "duplicate", "conflict", "bad_row", "changing"} <= found["log_row"]
    assert {"missing_hk", "empty_hk", "failed_hk"} <= found["hk_file"]
    assert "changing_hk" not in found["hk_file"]


def test_every_flag_that_an_effect_raises_is_in_the_flag_table_and_on_its_page():
    for source in (ROOT / "vison_etl" / "effects").glob("*/calibrate.py"):
        text = "".join(
            path.read_text(encoding="utf-8") for path in (source, source.with_name("flags.py")) if path.exists()
        )
        raised = set(re.findall(r'"([A-Z][A-Z_]{4,})"', text))
        page = (ROOT / "docs" / "methods" / f"{source.parent.name}.md").read_text(encoding="utf-8")
        assert raised
        assert raised <= set(flag_table())
        assert raised <= set(re.findall(r"\b[A-Z][A-Z_]{4,}\b", page))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_path_of_a_document_exists(document):
    text = document.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in _LINK.findall(text) if "://" not in link]
    missing = [link for link in links if link and not (document.parent / link).exists()]
    missing += [name for name in _CODE.findall(_BLOCK.sub("", text)) if _is_path(name) and not _exists(name)]
    assert not missing, f"{document.name} names what is not there: {', '.join(sorted(set(missing)))}"


def _is_path(name: str) -> bool:
    """Tell whether a piece of code in a text means a file or folder of the repository."""
    if not _PATH.fullmatch(name):
        return False
    first, slash, _ = name.partition("/")
    if not slash:
        return name.endswith(_SOURCES)
    places = (ROOT, ROOT / "vison_etl")
    return first not in _OF_USERS and (name.endswith(_SOURCES) or any((place / first).is_dir() for place in places))


def _exists(name: str) -> bool:
    """Find a path below the repository or the package; a bare file name anywhere in it."""
    if "/" not in name:
        return any(path.match(name) for path in repository_files())
    return any(next(place.glob(name.rstrip("/")), None) is not None for place in (ROOT, ROOT / "vison_etl"))


def test_no_file_tells_where_it_was_made():
    told = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        told += [f"{path.relative_to(ROOT)}: {match.group()}" for match in _NOT_OURS.finditer(text)]
    assert not told, "\n".join(told)
