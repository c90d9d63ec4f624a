import re
import shutil
import subprocess

import polars as pl
import pytest

from tests.report.fake_bench import HOSTILE
from tests.report.fake_snapshot import TESTS, make_snapshot
from vison_etl.report import bundle
from vison_etl.report.build import ReportError, build_reports, page_path
from vison_etl.report.headlines import channel_values, quantities, summary
from vison_etl.report.source import snapshot
from vison_etl.report.summary_page import make_summary_page, unit_of, write_summary_page

OUTSIDE = re.compile(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:|//|ftp:|file:|javascript:)""", re.IGNORECASE)
MUST_BE_LEFT_OUT = ("pair_tiles", "noise_pairs", "profiles", "previews", "quadrant_stats", "hk_summary")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Keep the Vega libraries of the session in one place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        bundle.vega_bundle.cache_clear()
        yield
    bundle.vega_bundle.cache_clear()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages")
    done = []
    paths = build_reports(make_snapshot(), out.parent / "lake", out, progress=done.append)
    return out, paths, done


def without_scripts(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_one_page_per_block_and_test_and_the_overview(built):
    out, paths, done = built
    assert sorted(p.relative_to(out).as_posix() for p in paths) == sorted(
        [f"{block}/{test}.html" for block in ("BORN", "NIELS") for test in TESTS] + ["index.html"]
    )
    assert len(done) == len(paths)
    assert not [path for path in out.rglob("*") if path.name.startswith(".tmp-")]


def test_pages_ask_for_nothing_outside(built):
    for path in built[1]:
        page = path.read_text(encoding="utf-8")
        assert not OUTSIDE.search(without_scripts(page)), path
        assert "cdn.jsdelivr" not in page
        assert "url(" not in without_scripts(page).replace("url(#", "")


def test_the_policy_lets_nothing_in_and_names_the_scripts(built):
    for path in built[1]:
        page = path.read_text(encoding="utf-8")
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page).group(1)
        assert policy.startswith("default-src 'none'")
        assert "unsafe-inline" not in policy.split("style-src")[0]
        runnable = re.findall(r"<script>", page)
        assert len(runnable) == policy.count("'sha256-")


def test_hostile_text_stays_text(built):
    out = built[0]
    page = (out / "BORN" / "BIAS02.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert page.count("<script") == page.count("</script>")
    assert "onerror=alert(2)>" not in page
    assert HOSTILE not in (out / "index.html").read_text(encoding="utf-8")


def test_charts_are_data_with_a_place_each(built):
    page = (built[0] / "BORN" / "PTC01.html").read_text(encoding="utf-8")
    places = re.findall(r'data-spec="([^"]+)"', page)
    specs = re.findall(r'<script type="application/json" id="([^"]+)">', page)
    assert sorted(places) == sorted(specs)
    assert "spec-ptc_curves_log" in specs
    assert len(set(specs)) == len(specs)


def test_the_overview_links_the_pages_that_exist(built):
    index = (built[0] / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', index)
    assert len(links) == 8
    assert all((built[0] / link).is_file() for link in links)
    assert "RON_OOL" in index
    assert "not analysed" in index
    assert "partial" in index


def test_one_page_again_keeps_the_links_to_the_others(tmp_path):
    connection = make_snapshot(("BORN",))
    build_reports(connection, tmp_path, tmp_path / "out", test="FLATFLUX00_800")
    paths = build_reports(connection, tmp_path, tmp_path / "out", block="BORN", test="DARK01")
    assert [path.name for path in paths] == ["DARK01.html", "index.html"]
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "BORN/FLATFLUX00_800.html" in index
    assert "BORN/PTC01.html" not in index


def test_unknown_names_are_answered_with_the_nearest(tmp_path):
    connection = make_snapshot(("BORN",))
    with pytest.raises(ReportError, match="no block BRON in the snapshot; nearest: BORN"):
        build_reports(connection, tmp_path, tmp_path, block="BRON")
    with pytest.raises(ReportError, match="nearest: PTC01"):
        build_reports(connection, tmp_path, tmp_path, test="PTC1")
    assert list(tmp_path.iterdir()) == []


def test_names_from_a_log_cannot_leave_the_folder(tmp_path):
    path = page_path(tmp_path, "../../etc", "PTC 01/<x>")
    assert path.resolve().is_relative_to(tmp_path.resolve())
    assert path != page_path(tmp_path, "../../etc", "PTC 01/<y>")


def test_pages_without_the_large_tables(tmp_path):
    connection = make_snapshot(("BORN",), without=MUST_BE_LEFT_OUT)
    build_reports(connection, tmp_path, tmp_path / "out", test="BIAS02")
    page = (tmp_path / "out" / "BORN" / "BIAS02.html").read_text(encoding="utf-8")
    assert "spec-ron_by_channel" in page
    assert "spec-offset_trend" not in page
    assert "No housekeeping" in page


def test_an_empty_snapshot_makes_an_overview(tmp_path):
    paths = build_reports(make_snapshot(()), tmp_path, tmp_path / "out")
    assert paths == [tmp_path / "out" / "index.html"]
    assert "Nothing has been ingested yet" in paths[0].read_text(encoding="utf-8")


def test_headlines_take_the_adopted_value_of_each_channel_with_its_limits():
    source = snapshot(make_snapshot())
    by_key = {q["key"]: q for q in quantities()}
    gain = channel_values(source, by_key["gain"])
    assert gain.height == 24
    assert gain.select("lo", "hi").unique().row(0) == (3.0, 3.5)
    noise = channel_values(source, by_key["read_noise"])
    found = summary(noise)
    assert found["n"] == 24
    assert (found["lo"], found["hi"], found["n_out"]) == (0.86, 1.44, 1)
    worst = found["worst"]
    assert (worst["block"], worst["ccd"], worst["quadrant"]) == ("BORN", "CCD3", "F")
    assert summary(noise.clear()) is None


def test_the_bundle_is_made_once_and_survives_a_bad_cache(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        bundle.vl_convert, "javascript_bundle", lambda *_a, **_k: made.append(1) or "let x = '</script>';"
    )
    for _ in range(2):
        bundle.vega_bundle.cache_clear()
        text = bundle.vega_bundle()
    assert len(made) == 1
    assert "</script" not in text
    kept = next(bundle.cache_folder().iterdir())
    kept.write_text(text[:10], encoding="utf-8")
    bundle.vega_bundle.cache_clear()
    assert bundle.vega_bundle() == text
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    bundle.vega_bundle.cache_clear()
    assert bundle.vega_bundle() == text
    bundle.vega_bundle.cache_clear()


def test_summary_page_draws_a_map_of_channels_and_points_of_blocks(tmp_path):
    gain = make_snapshot().sql("select block, ccd, quadrant, gain_e_per_adu, gain_e_per_adu_err from adopted_gain").pl()
    page = make_summary_page("gain", "What is the gain?", "select 1", gain)
    assert [figure.key for section in page.sections for figure in section.figures] == ["map_gain_e_per_adu"]
    by_block = gain.group_by("block").agg(pl.col("gain_e_per_adu").mean())
    page = make_summary_page("gain", "What is the gain?", "select 1", by_block)
    assert [figure.key for section in page.sections for figure in section.figures] == ["points_gain_e_per_adu"]
    for section in page.sections:
        for figure in section.figures:
            figure.chart.to_dict(validate=True)
    write_summary_page(tmp_path / "gain.html", "gain", HOSTILE, f"select '{HOSTILE}'", gain)
    assert HOSTILE not in (tmp_path / "gain.html").read_text(encoding="utf-8")


def test_summary_page_without_anything_to_draw():
    frame = pl.DataFrame({"parameter": ["gain"], "median": [float("nan")]})
    page = make_summary_page("summary", "All parameters", "select 1", frame)
    assert [section.anchor for section in page.sections] == ["table", "query"]


def test_units_come_from_the_ends_of_names():
    assert unit_of("gain_e_per_adu") == "e/ADU"
    assert unit_of("ron_adu_err") == "ADU"
    assert unit_of("n_frames") == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_draws_every_chart_without_network(built, tmp_path):
    for name in ("index.html", "BORN/BIAS02.html", "BORN/PTC01.html"):
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ]
        command += [f"--user-data-dir={tmp_path}", "--disable-background-networking", (built[0] / name).as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        assert 'data-drawn="yes"' in dom
        assert "could not be drawn" not in without_scripts(dom)
        folded = dom.count("<figure id=") - len(re.findall(r"<figure id=[^>]*><details", dom))
        assert dom.count("<svg") >= folded
