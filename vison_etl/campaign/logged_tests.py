"""Which test the name in a log means."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from vison_etl.campaign.commands import column_commands
from vison_etl.campaign.definitions import definition, test_names
from vison_etl.campaign.rules import rule_of


@cache
def logged_tests() -> Mapping[str, str]:
    """Return name in the log -> test, for every test with exposures of its own.

    A variant may command another name than the test's: it means that test, unless another test has the name.
    """
    own = [name for name in test_names() if definition(name).has_frames]
    return {commanded: name for name in own for commanded in _commanded(name)} | {name: name for name in own}


def _commanded(test: str) -> set[str]:
    """Return the names that scripts of a test command, whatever the campaign and the variant."""
    rule = rule_of(test)
    found: set[str] = set()
    for campaign in ("Full", *rule.in_campaign):
        for variant in ("default", *rule.variants_in(campaign)):
            found |= {str(column["test"]) for column in column_commands(test, campaign, variant) if "test" in column}
    return found
