"""Which tests of which blocks are analysed, in what order, until nothing is stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import polars as pl

from vison_etl.campaign.definitions import test_names
from vison_etl.campaign.derived import is_due
from vison_etl.lake.manage import clean
from vison_etl.lake.paths import Lake, LakeError
from vison_etl.lake.runs import clean_runs
from vison_etl.pipeline.analyse import analyse
from vison_etl.pipeline.block import BlockView, blocks_of, load_block
from vison_etl.pipeline.executors import Runner
from vison_etl.pipeline.job import Options, Outcome
from vison_etl.pipeline.measure import Progress
from vison_etl.pipeline.selection import in_order

_MAX_PASSES = 3

Report = Callable[[Outcome], None]


class UnknownNameError(ValueError):
    """A block or test that does not exist; the message names the nearest."""


def choose_blocks(lake: Lake, block: str | None) -> list[str]:
    """Return the blocks to work on.

    Raises
    ------
    UnknownNameError
        If the lake has no such block, or none at all.
    """
    blocks = blocks_of(lake)
    if not blocks:
        raise UnknownNameError(f"{lake.root}: the lake holds no exposures; run `vison-etl ingest DAYFOLDER` first")
    if block is None:
        return blocks
    if block.upper() not in blocks:
        raise UnknownNameError(_nearest("block", block, blocks, "blocks in the lake"))
    return [block.upper()]


def choose_tests(tests: Sequence[str]) -> list[str] | None:
    """Return the tests asked for, in the campaign's spelling, or None for ``all``.

    Raises
    ------
    UnknownNameError
        For a name that is no test of the campaign.
    """
    if "all" in [t.lower() for t in tests]:
        return None
    known = {name.upper(): name for name in test_names()}
    for name in tests:
        if name.upper() not in known:
            raise UnknownNameError(_nearest("test", name, list(known.values()), "tests with an analysis"))
    return list(dict.fromkeys(known[name.upper()] for name in tests))


def _nearest(kind: str, name: str, known: Sequence[str], what: str) -> str:
    near = get_close_matches(name.upper(), known, n=3, cutoff=0.5) or list(known)[:6]
    return f"no {kind} {name}; nearest {what}: {', '.join(near)}"


def drive(
    lake: Lake,
    tests: Sequence[str] | None,
    blocks: Sequence[str],
    options: Options,
    run: Runner,
    report: Report,
    progress: Progress,
    *,
    all_blocks: bool = False,
) -> list[Outcome]:
    """Analyse tests of blocks in dependency order; with ``tests`` None all that the lake has, until nothing is stale.

    With ``all_blocks`` a block that does not have a test is passed over, and a test that none of them has is one outcome without
    block. What cannot be read in the lake is a failed outcome, and the rest is done. What processes that died left behind is removed
    first. Results that became stale on the way (the noise in electrons, once the gain is known) are calibrated again, which opens no frame.
    """
    if not options.dry_run:
        clean_runs(lake)
        clean(lake)
    outcomes: list[Outcome] = []
    for block in blocks:
        try:
            view = load_block(lake, block)
        except LakeError as error:
            outcomes.append(Outcome(block, ", ".join(tests or ("all",)), "failed", (str(error),)))
            report(outcomes[-1])
            continue
        chosen = in_order(_chosen(view, tests, all_blocks=all_blocks))
        outcomes += _drive_block(lake, view, chosen, options, run, report, progress)
    for test in dict.fromkeys(tests or ()):
        if all_blocks and all(test not in o.test.split(", ") for o in outcomes):
            outcomes.append(Outcome("", test, "skipped", ("no block of the lake has an acquisition of this test",)))
            report(outcomes[-1])
    return outcomes


def _drive_block(
    lake: Lake,
    view: BlockView,
    tests: Sequence[str],
    options: Options,
    run: Runner,
    report: Report,
    progress: Progress,
) -> list[Outcome]:
    """Analyse tests of one block; one that fails does not keep the others from being done."""
    outcomes: dict[str, Outcome] = {}
    left = list(tests)
    for number in range(_MAX_PASSES):
        again = options if number == 0 else Options(partial=options.partial, argv=options.argv)
        for test in left:
            try:
                outcome = analyse(lake, view, test, again, run, progress)
            except LakeError as error:
                outcome = Outcome(view.block, test, "failed", (str(error),))
            if number == 0 or outcome.action != "up_to_date":
                outcomes[test] = outcome
                report(outcome)
        is_trial = bool(options.settings or options.obsids)
        left = [test for test in left if outcomes[test].action in {"stored", "up_to_date"}]
        stored = any(outcomes[test].action == "stored" for test in left)
        if options.dry_run or is_trial or not stored or len(left) == 1:
            break
    return list(outcomes.values())


def _chosen(view: BlockView, tests: Sequence[str] | None, *, all_blocks: bool) -> list[str]:
    if tests is None:
        return _due(view)
    present = view.acquisitions.get_column("test").unique().to_list()
    return [test for test in tests if test in present] if all_blocks else list(tests)


def _due(view: BlockView) -> list[str]:
    known = set(test_names())
    adopted = view.acquisitions.filter(pl.col("is_adopted")).iter_rows(named=True)
    return [row["test"] for row in adopted if row["test"] in known and is_due(row["test"], row)]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all is stored or up to date, 1 if anything failed, is partial or was skipped."""
    return int(any(o.action not in {"stored", "up_to_date", "planned"} for o in outcomes))
