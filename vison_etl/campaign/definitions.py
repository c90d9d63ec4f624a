"""What the house knows about a test besides its structure: what it feeds, how its exposures are selected, when it is analysed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache

import xxhash

from vison_etl.campaign.commands import column_commands
from vison_etl.campaign.rules import TestRule, UnknownTest, all_rules, rule_of
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import Raw, nearest

__all__ = ["TestDefinition", "UnknownTest", "definition", "test_names"]


@dataclass(frozen=True, slots=True)
class TestDefinition:
    """One test.

    Parameters
    ----------
    campaigns
        Campaigns it belongs to.
    frames_of
        Tests whose exposures it uses; its own name if it has its own.
    effects
        Effects it feeds, each with the parameters that differ from the effect's defaults.
    scripted
        It has a commanded structure; else its exposures are known by its name only.
    colourblind
        Its exposures are selected whatever the filter.
    label_nm
        Filter label of all its columns as a number: nm, 2000 (neutral density) or 0; None without a single one.
    gives_gain
        Its gain may be the adopted one of a block: it is acquired under nominal conditions.
    ccd_temperature_degc
        Temperature the CCDs are to have, which no script commands.
    identity
        Script keys by which an exposure is told to be one of a column, besides those that differ between its columns.
    waived
        Script keys not compared with the log.
    rank
        Order of analysis: masks 10, bias 20, dark 25, photon transfer 30, the rest 40.
    variants
        Variants of its structure besides ``default``, in any campaign.
    digest
        XXH3-128 of all that the rules say about it.
    """

    __test__ = False

    name: str
    family: str
    about: str
    campaigns: tuple[str, ...]
    frames_of: tuple[str, ...]
    effects: tuple[tuple[str, Raw], ...]
    scripted: bool
    colourblind: bool
    label_nm: float | None
    gives_gain: bool
    ccd_temperature_degc: float
    identity: tuple[str, ...]
    waived: frozenset[str]
    rank: int
    variants: tuple[str, ...]
    digest: str

    @property
    def has_frames(self) -> bool:
        """Whether exposures of its own exist."""
        return self.frames_of == (self.name,)

    @property
    def is_commanded(self) -> bool:
        """Whether exposures of its own exist that follow a script."""
        return self.has_frames and self.scripted


def _label_nm(test: str) -> float | None:
    sources = rule_of(test).frames_of or (test,)
    labels = {column.get("label") for source in sources for column in column_commands(source)}
    label = labels.pop() if len(labels) == 1 else None
    return None if label is None else float(label)


def _variants(rule: TestRule) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*rule.variants, *(name for more in rule.campaign_variants.values() for name in more)]))


@cache
def definition(test: str) -> TestDefinition:
    """Return the definition of a test; ``UnknownTest`` names the nearest ones."""
    rule = rule_of(test)
    said = {key: value for key, value in asdict(rule).items() if key not in {"where", "about"}}
    text = json.dumps(said, sort_keys=True, default=sorted)
    return TestDefinition(
        name=rule.name,
        family=rule.family.name,
        about=rule.about,
        campaigns=rule.campaigns,
        frames_of=rule.frames_of or (rule.name,),
        effects=rule.effects,
        scripted=rule.family.scripted,
        colourblind=rule.family.colourblind,
        label_nm=_label_nm(test),
        gives_gain=rule.gives_gain,
        ccd_temperature_degc=rule.ccd_temperature_degc,
        identity=rule.identity,
        waived=rule.waived,
        rank=rule.family.rank,
        variants=_variants(rule),
        digest=xxhash.xxh3_128_hexdigest(text.encode()),
    )


@cache
def test_names(campaign: str | None = None) -> tuple[str, ...]:  # noqa: PT028 - names of tests, not a test
    """Return the tests of a campaign, of all campaigns with None, in the order of analysis.

    Raises
    ------
    UnknownTest
        For a campaign that is not in ``campaign.toml``.
    """
    if campaign is not None and campaign not in settings().campaigns:
        raise UnknownTest(f"no campaign {campaign!r}; nearest: {nearest(campaign, settings().campaigns)}")
    members = [rule for rule in all_rules().values() if campaign is None or campaign in rule.campaigns]
    return tuple(rule.name for rule in sorted(members, key=lambda rule: rule.family.rank))
