"""The page of the data dictionary."""

from __future__ import annotations

from pathlib import Path

from vison_etl import tables
from vison_etl.results.dictionary import main, markdown

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def test_page_is_up_to_date() -> None:
    made = markdown()
    assert PAGE.read_text(encoding="utf-8") == made, (
        "run python -m vison_etl.results.dictionary docs/data-dictionary.md"
    )
    for table in tables.all_tables().values():
        assert f"\n### {table.name}\n" in made
    for name in ("adopted_gain", "measurements", "channels", "dictionary"):
        assert f"\n### {name}\n" in made


def test_written_where_asked(tmp_path: Path) -> None:
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Data dictionary")
