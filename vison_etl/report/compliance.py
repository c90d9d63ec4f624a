"""What was checked: every rule with its worst value, then the values that failed."""

from __future__ import annotations

import polars as pl

from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import MISSING, counted, measured, written
from vison_etl.report.tabulate import Head, folded, plain_table, state

MAX_FAILING = 200
OPEN_FAILING = 20


def section(data: Gathered) -> Section:
    """Return the section: nothing but a sentence where nothing was checked."""
    checks = with_excess(data.table("compliance"))
    if checks.is_empty():
        return Section("checked", "What was checked", element("p", "No checks are stored for this test."))
    failing = checks.filter(~pl.col("pass")).sort("excess", descending=True, nulls_last=False)
    return Section("checked", "What was checked", joined([_rules(checks), _failing(failing)]))


def with_excess(compliance: pl.DataFrame) -> pl.DataFrame:
    """Add ``excess``: how far a value lies beyond the nearer limit, in half widths of the allowed range.

    -1 is the middle of the range, 0 its edge, positive outside. With one limit alone the distance is in units of that limit, where
    a single value is allowed in units of the value, -1 being equal. NULL where there is no value or no limit. ``pass`` is made
    false where it is NULL.
    """
    value, lo, hi = pl.col("value"), pl.col("lo"), pl.col("hi")
    half = (hi - lo) / 2
    nearer = pl.coalesce(lo, hi).abs()
    scale = pl.when(half > 0).then(half).when(nearer > 0).then(nearer).otherwise(1.0)
    excess = pl.max_horizontal(lo - value, value - hi) / scale
    is_equal = ((lo == hi) & (value == lo)).fill_null(value=False)
    return compliance.with_columns(
        excess=pl.when(is_equal).then(-1.0).when(value.is_not_null()).then(excess),
        **{"pass": pl.col("pass").fill_null(value=False)},
    )


def summary_by(checks: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Return one row per value of ``keys``, those with failures first.

    Returns
    -------
    polars.DataFrame
        ``keys``, ``n`` values, ``n_metrics``, ``n_failed``, ``n_missing`` without a value, and the columns of the worst row: a
        failing one before one that passes, the farthest out first, a missing value before all.
    """
    columns = ("obsid", "ccd", "quadrant", "script_column", "value", "value_err", "lo", "hi", "excess")
    worst = pl.struct(*columns, worst_metric="metric")
    order = [pl.col("pass"), -pl.col("excess").fill_null(float("inf"))]
    return (
        checks.sort(order, maintain_order=True)
        .group_by(*keys, maintain_order=True)
        .agg(
            n=pl.len(),
            n_metrics=pl.col("metric").n_unique(),
            n_failed=(~pl.col("pass")).sum(),
            n_missing=pl.col("value").is_null().sum(),
            worst=worst.first(),
        )
        .unnest("worst")
        .sort("n_failed", *keys, descending=[True, *(False for _ in keys)])
    )


def _rules(checks: pl.DataFrame) -> Html:
    by_rule = summary_by(checks, "rule")
    note = "One line per rule; the worst value is the one farthest outside its limits, or nearest to them if all pass."
    parts = [element("p", note, class_="note"), _summary_table(by_rule)]
    if by_rule["n_metrics"].max() != 1:
        every = summary_by(checks, "rule", "metric")
        parts.append(folded(f"Every metric of every rule ({every.height})", _summary_table(every), is_open=False))
    return joined(parts)


def _summary_table(summary: pl.DataFrame) -> Html:
    has_metrics = "metric" not in summary.columns
    heads = [
        Head("rule"),
        Head("values", is_number=True),
        *([Head("metrics", is_number=True)] if has_metrics else []),
        Head("failed", is_number=True),
        Head("", about="verdict"),
        Head("worst of", about="metric of the worst value"),
        Head("worst value", is_number=True, about="failing, or nearest to a limit"),
        Head("limits", is_number=True),
        Head("where"),
    ]
    rows: list[list[Child]] = [
        [
            written(row["rule"]),
            written(row["n"]),
            *([written(row["n_metrics"])] if has_metrics else []),
            _failed(row["n_failed"], row["n_missing"]),
            state("failed") if row["n_failed"] else state("ok"),
            written(row["worst_metric"]),
            measured(row["value"], row["value_err"]),
            _limits(row["lo"], row["hi"]),
            _where(row),
        ]
        for row in summary.iter_rows(named=True)
    ]
    return plain_table(heads, rows)


def _failing(failing: pl.DataFrame) -> Html:
    if failing.is_empty():
        return element("p", "Every value lies within its limits.", class_="note")
    heads = [
        Head("rule"),
        Head("metric"),
        Head("where"),
        Head("value", is_number=True),
        Head("limits", is_number=True),
        Head(
            "beyond",
            "half widths",
            "distance beyond the nearer limit, in half widths of the allowed range",
            is_number=True,
        ),
    ]
    rows: list[list[Child]] = [
        [
            written(row["rule"]),
            written(row["metric"]),
            _where(row),
            measured(row["value"], row["value_err"]),
            _limits(row["lo"], row["hi"]),
            measured(row["excess"], digits=3),
        ]
        for row in failing.head(MAX_FAILING).iter_rows(named=True)
    ]
    title = f"{counted(failing.height, 'failing value')}, worst first"
    cut = failing.height > MAX_FAILING
    more = element("p", f"The worst {MAX_FAILING} are listed.", class_="note") if cut else None
    table = folded(title, joined([plain_table(heads, rows), more]), is_open=failing.height <= OPEN_FAILING)
    return joined([element("h3", "Failing values"), table])


def _failed(n: int, n_missing: int) -> str:
    return f"{n} ({n_missing} without a value)" if n_missing else str(n)


def _limits(lo: float | None, hi: float | None) -> str:
    if lo is None and hi is None:
        return MISSING
    if lo is None:
        return f"≤ {measured(hi)}"
    if hi is None:
        return f"≥ {measured(lo)}"
    return measured(lo) if lo == hi else f"{measured(lo)} … {measured(hi)}"


def _where(row: dict[str, object]) -> str:
    words = [f"{row['ccd']} {row['quadrant'] or ''}".strip() if row["ccd"] else None]
    words += [str(row["script_column"]) if row["script_column"] else None]
    words += [f"obsid {row['obsid']}" if row["obsid"] is not None else None]
    return ", ".join(word for word in words if word) or "the test"
