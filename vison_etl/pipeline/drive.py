"""Which tests of which blocks are analysed, in what order, until nothing is stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from vison_etl.campaign.definitions import test_names
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.analyse import Options, Outcome, analyse
from vison_etl.pipeline.block import BlockView, blocks_of, load_block
from vison_etl.pipeline.executors import Runner
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
    """Return the tests asked for, or None for ``all``.

    Raises
    ------
    UnknownNameError
        For a name that is no test of the campaign.
    """
    if [t.lower() for t in tests] == ["all"]:
        return None
    known = test_names()
    for name in tests:
        if name not in known:
            raise UnknownNameError(_nearest("test", name, known, "tests with an analysis"))
    return list(dict.fromkeys(tests))


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
) -> list[Outcome]:
    """Analyse tests of blocks in dependency order; with ``tests`` None all that the lake has, until nothing is stale.

    Results that became stale on the way (the noise in electrons, once the gain is known) are calibrated again, which opens no frame.
    """
    outcomes: dict[tuple[str, str], Outcome] = {}
    for block in blocks:
        view = load_block(lake, block)
        chosen = in_order(_present(view) if tests is None else tests)
        for number in range(_MAX_PASSES):
            stored = 0
            for test in chosen:
                again = options if number == 0 else Options(partial=options.partial, argv=options.argv)
                outcome = analyse(lake, view, test, again, run, progress)
                stored += outcome.action == "stored"
                if number == 0 or outcome.action != "up_to_date":
                    outcomes[block, test] = outcome
                    report(outcome)
            if tests is not None or not stored or options.dry_run or options.settings or options.obsids:
                break
    return list(outcomes.values())


def _present(view: BlockView) -> list[str]:
    known = set(test_names())
    return [t for t in view.acquisitions.get_column("test").unique().to_list() if t in known]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all is stored or up to date, 1 if anything failed, is partial or was skipped."""
    return int(any(o.action not in {"stored", "up_to_date", "planned"} for o in outcomes))
