"""The rules of the tests as they stand in the TOML files: read strictly, templates expanded, families merged in.

Grammar. A file holds families and tests::

    [family.F]   about, rank (order of analysis), colourblind, scripted, waived, identity, effects, set, columns
    [test.T]     about, family, campaigns, gives_gain, ccd_temperature_degc, waived, identity, effects, frames_of, set, columns, expand
    [test.T.variant.V], [test.T.campaign.C], [test.T.campaign.C.variant.V]     set, columns

``set`` is a table of commands common to all columns; ``columns`` a list of column rules. A command is a script key, a group of
script keys (``campaign.toml``), or one of

    percent            exposure time as a percentage of full well: exptime = percent/100 x full well of ``label``
    label              what the filter slot holds, as in test names (nm, 2000, 0); gives ``wave``
    full_well          whose full well ``percent`` means, flat or point; that of ``source`` unless said
    full_well_label    the same for the filter; that of ``label`` unless said
    mirror_offset_mm   mirr_pos = nominal position of the slot + offset

A column rule is a table of commands. Lists in it are walked in step, one column per step; a range ``{ from, to, step }`` is the
list of its values and never passes ``to``; a nested ``columns`` is repeated within every step: so scans nest. What is said later
wins: ELVIS default, family, test, campaign, variant, variant of the campaign, column from outside in. A time in seconds takes an
earlier percentage back and the other way round; so do slot and label, position and offset. The summing well follows ``rdmode``
unless it is set. Texts may quote script keys, ``comments = "EXP{exptime:.1e}"``, and the number of the step in the rule they
stand in, ``"Fluence{step}"``.

A test that names others in ``frames_of`` is not acquired: it uses their exposures. The tests of a family with ``scripted = false`` have
no columns: their exposures are known by the name of the test only.

A test named with placeholders, ``PTC02_{label}``, is made once per table of ``expand``; the text ``"{label}"`` in its rules is
replaced by the value, ``{label}`` within a longer text by its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from vison_etl.campaign.scans import ColumnRule, Command, read_columns, read_commands
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import Raw, RuleError, check_keys, nearest, read_toml, take, take_texts
from vison_etl.instrument.elvis_keys import script_keys

_FAMILY_KEYS = ("about", "rank", "colourblind", "scripted", "waived", "identity", "effects", "set", "columns")
_TEST_KEYS = (
    *("about", "family", "campaigns", "gives_gain", "ccd_temperature_degc", "effects", "frames_of"),
    *("waived", "identity"),
    *("set", "columns", "variant", "campaign", "expand"),
)
_LAYER_KEYS = ("set", "columns")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class UnknownTest(LookupError):  # noqa: N818 - the word of the command line
    """No test, variant or campaign of this name; the message names the nearest ones."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Commands common to all columns, and column rules; None where a layer says nothing about columns."""

    commands: Mapping[str, Command]
    columns: tuple[ColumnRule, ...] | None


@dataclass(frozen=True, slots=True)
class Family:
    """What tests of one kind share."""

    name: str
    rank: int
    colourblind: bool
    scripted: bool
    waived: frozenset[str]
    identity: tuple[str, ...]
    effects: tuple[tuple[str, Raw], ...]
    layer: Layer


@dataclass(frozen=True, slots=True)
class TestRule:
    """One test after expansion of its template; layers are not merged yet."""

    __test__ = False

    name: str
    where: str
    about: str
    family: Family
    campaigns: tuple[str, ...]
    gives_gain: bool
    ccd_temperature_degc: float
    waived: frozenset[str]
    identity: tuple[str, ...]
    effects: tuple[tuple[str, Raw], ...]
    frames_of: tuple[str, ...]
    layer: Layer
    in_campaign: Mapping[str, Layer]
    variants: Mapping[str, Layer]
    campaign_variants: Mapping[str, Mapping[str, Layer]]

    def variants_in(self, campaign: str) -> tuple[str, ...]:
        """Return the variants that exist in a campaign besides ``default``."""
        return tuple({**self.variants, **self.campaign_variants.get(campaign, {})})

    def layers(self, campaign: str, variant: str) -> tuple[Layer, ...]:
        """Return what is said of the structure, the later the stronger."""
        of_campaign = self.campaign_variants.get(campaign, {})
        said = (self.in_campaign.get(campaign), self.variants.get(variant), of_campaign.get(variant))
        return (self.family.layer, self.layer, *(layer for layer in said if layer is not None))


def _substitute(value: Any, names: Raw) -> Any:
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole and whole.group(1) in names:
            return names[whole.group(1)]
        return _PLACEHOLDER.sub(lambda m: str(names.get(m.group(1), m.group(0))), value)
    if isinstance(value, dict):
        return {key: _substitute(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, names) for item in value]
    return value


def _layer(where: str, raw: Raw) -> Layer:
    columns = raw.get("columns")
    return Layer(
        commands=read_commands(f"{where}.set", take(where, raw, "set", dict, {})),
        columns=None if columns is None else read_columns(f"{where}.columns", columns),
    )


def _layers(where: str, raw: Raw, *more: str) -> dict[str, Layer]:
    for name, body in raw.items():
        check_keys(f"{where}.{name}", body, (*_LAYER_KEYS, *more))
    return {name: _layer(f"{where}.{name}", body) for name, body in raw.items()}


def _variants(where: str, raw: Raw) -> dict[str, Layer]:
    return _layers(f"{where}.variant", take(where, raw, "variant", dict, {}))


def _script_keys(where: str, raw: Raw, name: str) -> tuple[str, ...]:
    keys, named = [row.key for row in script_keys()], take_texts(where, raw, name)
    for key in named:
        if key not in keys:
            raise RuleError(f"{where}: {key!r} is no script key; nearest: {nearest(key, keys)}")
    return named


def _effects(where: str, raw: Raw) -> tuple[tuple[str, Raw], ...]:
    effects: list[tuple[str, Raw]] = []
    for item in take(where, raw, "effects", list, []):
        check_keys(f"{where}.effects", item, ("name", "parameters"))
        effects.append((take(where, item, "name", str), take(where, item, "parameters", dict, {})))
    return tuple(effects)


def _family(name: str, file: str, raw: Raw) -> Family:
    where = f"{file}: family.{name}"
    check_keys(where, raw, _FAMILY_KEYS)
    scripted = take(where, raw, "scripted", bool, default=True)
    if not scripted and not {"set", "columns"}.isdisjoint(raw):
        raise RuleError(f"{where}: a family with scripted = false has no commands")
    return Family(
        name=name,
        rank=take(where, raw, "rank", int),
        colourblind=take(where, raw, "colourblind", bool),
        scripted=scripted,
        waived=frozenset(_script_keys(where, raw, "waived")),
        identity=_script_keys(where, raw, "identity"),
        effects=_effects(where, raw),
        layer=_layer(where, raw),
    )


def _test(name: str, file: str, raw: Raw, families: Mapping[str, Family]) -> TestRule:
    where = f"{file}: test.{name}"
    check_keys(where, raw, _TEST_KEYS)
    family = families.get(take(where, raw, "family", str))
    if family is None:
        raise RuleError(f"{where}: no family {raw['family']!r}; nearest: {nearest(raw['family'], families)}")
    campaigns, in_campaign = take_texts(where, raw, "campaigns"), take(where, raw, "campaign", dict, {})
    for campaign in (*campaigns, *in_campaign):
        if campaign not in settings().campaigns:
            near = nearest(campaign, settings().campaigns)
            raise RuleError(f"{where}: no campaign {campaign!r} in campaign.toml; nearest: {near}")
    for campaign in in_campaign:
        if campaign not in campaigns:
            raise RuleError(f"{where}: 'campaigns' lacks {campaign!r}, for which there are rules")
    if raw.get("frames_of") and not {"set", "columns", "variant", "campaign"}.isdisjoint(raw):
        raise RuleError(f"{where}: a test with 'frames_of' has the commands of those tests, none of its own")
    return TestRule(
        name=name,
        where=where,
        about=take(where, raw, "about", str),
        family=family,
        campaigns=campaigns,
        gives_gain=take(where, raw, "gives_gain", bool, default=False),
        ccd_temperature_degc=take(where, raw, "ccd_temperature_degc", float, settings().ccd_temperature_degc),
        waived=frozenset(_script_keys(where, raw, "waived")) if "waived" in raw else family.waived,
        identity=_script_keys(where, raw, "identity") if "identity" in raw else family.identity,
        effects=_effects(where, raw) if "effects" in raw else family.effects,
        frames_of=take_texts(where, raw, "frames_of"),
        layer=_layer(where, raw),
        in_campaign=_layers(f"{where}.campaign", in_campaign, "variant"),
        variants=_variants(where, raw),
        campaign_variants={name: _variants(f"{where}.campaign.{name}", body) for name, body in in_campaign.items()},
    )


def _instances(name: str, where: str, raw: Raw) -> Iterator[tuple[str, Raw]]:
    body = {key: value for key, value in raw.items() if key != "expand"}
    placeholders = set(_PLACEHOLDER.findall(name))
    if "expand" not in raw:
        if placeholders:
            raise RuleError(f"{where}: the name has placeholders but there is no 'expand'")
        yield name, body
        return
    for names in take(where, raw, "expand", list):
        if not placeholders or not placeholders <= set(names):
            raise RuleError(f"{where}: expand {names!r} must give every placeholder of the name, and there must be one")
        yield _PLACEHOLDER.sub(lambda m, names=names: str(names[m.group(1)]), name), _substitute(body, names)  # type: ignore[misc]


def load(file: str, raw: Raw) -> dict[str, TestRule]:
    """Turn one file of rules, already parsed, into tests by name, in order; ``RuleError`` where it is not as it must be."""
    check_keys(file, raw, ("family", "test"))
    families = {name: _family(name, file, body) for name, body in take(file, raw, "family", dict, {}).items()}
    tests: dict[str, TestRule] = {}
    for template, body in take(file, raw, "test", dict, {}).items():
        for name, instance in _instances(template, f"{file}: test.{template}", body):
            if name in tests:
                raise RuleError(f"{file}: test {name} stands there twice")
            tests[name] = _test(name, file, instance, families)
    return tests


@cache
def all_rules() -> Mapping[str, TestRule]:
    """Return the rules of every test by name, in the order of the files."""
    tests: dict[str, TestRule] = {}
    for file in settings().files:
        for name, rule in load(file, read_toml(file)).items():
            if name in tests:
                raise RuleError(f"{file}: test {name} stands in {tests[name].where.split(':')[0]} too")
            tests[name] = rule
    for rule in tests.values():
        for source in rule.frames_of:
            if source not in tests:
                raise RuleError(f"{rule.where}: frames_of names {source!r}, no test; nearest: {nearest(source, tests)}")
    return tests


def rule_of(test: str) -> TestRule:
    """Return the rule of a test; ``UnknownTest`` names the nearest ones."""
    rule = all_rules().get(test)
    if rule is None:
        raise UnknownTest(f"no test {test!r}; nearest: {nearest(test, all_rules())}")
    return rule
