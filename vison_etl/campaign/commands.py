"""The commands of each column of a test: layers merged, scans expanded; nothing yet depends on a chamber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from vison_etl.campaign.rules import ColumnRule, Command, UnknownTest, rule_of
from vison_etl.campaign.strict import RuleError, nearest

DEFAULT, AS_ACQUIRED = "default", "as_acquired"


def expand(rules: Iterable[ColumnRule], common: Mapping[str, Command]) -> Iterator[dict[str, Command]]:
    """Yield the commands of each column: ``common``, overlaid by the steps of the rules from outside in."""
    for rule in rules:
        for step in rule.steps:
            merged = {**common, **step}
            if rule.inner is None:
                yield merged
            else:
                yield from expand(rule.inner, merged)


@cache
def column_commands(test: str, campaign: str = "Full", variant: str = DEFAULT) -> tuple[Mapping[str, Command], ...]:
    """Return what differs from the defaults of the script in each column of a test that has frames of its own.

    Parameters
    ----------
    test, campaign
        A test need not belong to the campaign it is asked for.
    variant
        ``default``, a variant of the test, or ``as_acquired``: what was really commanded, which is ``default`` unless the
        test says otherwise.

    Raises
    ------
    UnknownTest, RuleError
        For an unknown test or variant; for a test without columns.
    """
    rule = rule_of(test)
    if variant not in {DEFAULT, AS_ACQUIRED, *rule.variants}:
        raise UnknownTest(f"{test} has no variant {variant!r}; nearest: {nearest(variant, (DEFAULT, *rule.variants))}")
    layers = [rule.family.layer, rule.layer, rule.in_campaign.get(campaign), rule.variants.get(variant)]
    said = [layer for layer in layers if layer is not None]
    rules = next((layer.columns for layer in reversed(said) if layer.columns is not None), None)
    if rules is None:
        raise RuleError(f"{rule.where}: neither the test nor its family has columns")
    common: dict[str, Command] = {"test": test}
    for layer in said:
        common |= layer.commands
    return tuple(expand(rules, common))
