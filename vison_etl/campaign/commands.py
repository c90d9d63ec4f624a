"""The commands of each column of a test: layers merged, scans expanded; nothing yet depends on a chamber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from vison_etl.campaign.rules import TestRule, UnknownTest, rule_of
from vison_etl.campaign.scans import ColumnRule, Command
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import RuleError, nearest

DEFAULT, AS_ACQUIRED = "default", "as_acquired"


_SAME_THING = (
    ("exptime", ("percent",)),
    ("percent", ("exptime",)),
    ("wave", ("label",)),
    ("label", ("wave",)),
    ("mirr_pos", ("mirror_offset_mm",)),
    ("mirror_offset_mm", ("mirr_pos",)),
    ("rdmode", ("swellw", "swelldly")),
)
"""A command on the left, said later, takes back those on the right."""


def overlay(earlier: Mapping[str, Command], later: Mapping[str, Command]) -> dict[str, Command]:
    """Return commands with later ones laid over earlier ones: what is said later wins, in seconds or in per cent."""
    taken_back = {name for said, names in _SAME_THING if said in later for name in names}
    return {**{key: value for key, value in earlier.items() if key not in taken_back}, **later}


def expand(rules: Iterable[ColumnRule], common: Mapping[str, Command]) -> Iterator[dict[str, Command]]:
    """Yield the commands of each column: ``common``, overlaid by the steps of the rules from outside in."""
    for rule in rules:
        for step in rule.steps:
            merged = overlay(common, step)
            if rule.inner is None:
                yield merged
            else:
                yield from expand(rule.inner, merged)


def commands_of(rule: TestRule, campaign: str = "Full", variant: str = DEFAULT) -> tuple[Mapping[str, Command], ...]:
    """Return what differs from the defaults of the script in each column of a test that has frames of its own; none without script.

    Parameters
    ----------
    rule, campaign
        A test need not belong to the campaign it is asked for.
    variant
        ``default``, a variant of the test, or ``as_acquired``: what was really commanded, which is ``default`` unless the
        test says otherwise.

    Raises
    ------
    UnknownTest, RuleError
        For an unknown campaign or variant; for a test without columns that should have some.
    """
    if campaign not in settings().campaigns:
        raise UnknownTest(f"no campaign {campaign!r}; nearest: {nearest(campaign, settings().campaigns)}")
    if variant not in {DEFAULT, AS_ACQUIRED, *rule.variants_in(campaign)}:
        near = nearest(variant, (DEFAULT, *rule.variants_in(campaign)))
        raise UnknownTest(f"{rule.name} has no variant {variant!r}; nearest: {near}")
    if not rule.family.scripted:
        return ()
    said = rule.layers(campaign, variant)
    rules = next((layer.columns for layer in reversed(said) if layer.columns is not None), None)
    if rules is None:
        raise RuleError(f"{rule.where}: neither the test nor its family has columns")
    common: dict[str, Command] = {"test": rule.name}
    for layer in said:
        common = overlay(common, layer.commands)
    return tuple(expand(rules, common))


@cache
def column_commands(test: str, campaign: str = "Full", variant: str = DEFAULT) -> tuple[Mapping[str, Command], ...]:
    """Return ``commands_of`` a test by name; ``UnknownTest`` names the nearest ones."""
    return commands_of(rule_of(test), campaign, variant)
