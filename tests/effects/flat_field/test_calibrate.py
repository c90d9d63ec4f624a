import math

import polars as pl
import pytest

from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.flat_field.calibrate import calibrate
from vison_etl.effects.flat_field.effect import EFFECT
from vison_etl.effects.flat_field.model import fluence_in_electrons, percent_of
from vison_etl.effects.flat_field.rows import RESPONSE_COLUMNS
from vison_etl.tables import table


def response(**values):
    row = dict.fromkeys(RESPONSE_COLUMNS) | {
        "ccd": "CCD1",
        "quadrant": "E",
        "script_column": "col001",
        "n_frames": 30,
        "fluence_adu": 16000.0,
        "fluence_adu_err": 0.5,
        "variance": 2.5e-5,
        "variance_err": 2e-8,
        "total_variance": 2.6e-5,
        "expected_noise_variance": 1e-6,
        "n_pixels": 1000,
        "n_clipped": 3,
        "n_columns": 1,
        "bias_subtracted": True,
        "mask_applied": True,
    }
    return row | values


def scale(**values):
    row = {"ccd": "CCD1", "quadrant": "E", "script_column": "col001", "scale": 0, "scale_lo_px": 1, "scale_hi_px": 2}
    return row | {"variance": 1e-5, "variance_err": 1e-8} | values


def calibrated(rows, scales=(), *, gain=True, wavelength_nm=800.0, channels=(("CCD1", "E"), ("CCD1", "F"))):
    gains = [{"ccd": "CCD1", "quadrant": "E", "gain_e_per_adu": 3.5, "gain_e_per_adu_err": 0.01}]
    gains[0] |= {"a00_per_e": -2e-6, "a00_per_e_err": 1e-7}
    schema = {"script_column": pl.String, "ccd": pl.String, "quadrant": pl.String, "scale": pl.Int64}
    inputs = CalibrationInput(
        "FLAT01",
        wavelength_nm,
        EFFECT.parameters,
        pl.DataFrame(),
        pl.DataFrame(list(channels), schema=["ccd", "quadrant"], orient="row"),
        {
            "flat_response": pl.DataFrame(rows, infer_schema_length=None),
            "flat_scales": pl.DataFrame(list(scales), infer_schema_length=None)
            if scales
            else pl.DataFrame(schema=schema),
        },
        pl.DataFrame(gains) if gain else None,
    )
    return calibrate(inputs)


def test_per_cent_and_electrons():
    found = calibrated([response()], [scale()])
    row = found.tables["prnu"].row(0, named=True)
    assert row["prnu_pct"] == pytest.approx(0.5)
    assert row["prnu_pct_err"] == pytest.approx(0.5 * 0.5 * 2e-8 / 2.5e-5)
    assert row["master_rms_pct"] == pytest.approx(100 * math.sqrt(2.6e-5))
    assert row["noise_pct"] == pytest.approx(0.1)
    assert row["expected_noise_pct"] == pytest.approx(0.1)
    assert row["fluence_e"] == pytest.approx(56000.0)
    assert row["fluence_e_err"] == pytest.approx(math.hypot(0.5 * 3.5, 160.0))
    assert (row["wavelength_nm"], row["status"], row["n_points"]) == (800.0, "ok", 1000)
    assert found.flags == ()
    scales = found.tables["prnu_scales"].row(0, named=True)
    assert scales["prnu_pct"] == pytest.approx(100 * math.sqrt(1e-5))
    assert scales["fluence_adu"] == 16000.0
    for name, frame in found.tables.items():
        assert frame.columns == [c for c in table(name).names if c not in {"run_id", "block", "test", "acquisition"}]


def test_a_variance_that_is_not_positive_has_no_root():
    found = calibrated([response(variance=-1e-9, quadrant="E")])
    row = found.tables["prnu"].row(0, named=True)
    assert row["prnu_pct"] is None
    assert row["prnu_variance"] == -1e-9
    assert row["status"] == "failed"
    assert [flag.name for flag in found.flags] == ["POORQUALDATA"]


def test_what_is_missing_is_said():
    dark = dict.fromkeys(("fluence_adu", "fluence_adu_err", "variance", "variance_err", "total_variance"))
    rows = [response(mask_applied=False), response(quadrant="F", bias_subtracted=False, **dark)]
    found = calibrated(rows, gain=False, wavelength_nm=None)
    flags = {flag.name: flag.detail for flag in found.flags}
    assert flags == {
        "NO_BIAS": "CCD1 F",
        "NO_MASK": "CCD1 E",
        "NO_GAIN": "CCD1 E",
        "NO_WAVELENGTH": "CCD1 E, CCD1 F",
        "POORQUALDATA": "CCD1 F",
    }
    assert found.tables["prnu"].filter(quadrant="F")["status"].to_list() == ["no_data"]
    assert found.tables["prnu"]["fluence_e"].to_list() == [None, None]


def test_excluded_channels_have_no_rows():
    found = calibrated([response(), response(quadrant="F")], [scale(), scale(quadrant="F")], channels=(("CCD1", "F"),))
    assert found.tables["prnu"]["quadrant"].to_list() == ["F"]
    assert found.tables["prnu_scales"]["quadrant"].to_list() == ["F"]


def test_numbers_that_are_not_there():
    assert percent_of(None) == (None, None)
    assert percent_of(1e-4) == (pytest.approx(1.0), None)
    assert fluence_in_electrons(None, 1.0, 3.5, 0.1) == (None, None)
    assert fluence_in_electrons(100.0, None, 3.5, 0.1) == (350.0, None)


def test_ratio_to_another_wavelength():
    shared = {"reference_wavelength_nm": 800.0, "reference_fluence_adu": 15000.0, "correlation": 0.9, "n_shared": 900}
    shared |= {"correlation_err": 0.01, "ratio_variance": 4e-6, "ratio_variance_err": 4e-8}
    negative = {**shared, "quadrant": "F", "correlation": None, "correlation_err": None, "ratio_variance": -1e-9}
    found = calibrated([response(**shared), response(**negative)], wavelength_nm=590.0)
    one, other = found.tables["flat_ratio"].sort("quadrant").to_dicts()
    assert (one["ratio_rms_pct"], one["ratio_rms_pct_err"]) == (pytest.approx(0.2), pytest.approx(0.001))
    assert (one["wavelength_nm"], one["reference_wavelength_nm"], one["status"]) == (590.0, 800.0, "ok")
    assert (other["ratio_rms_pct"], other["status"]) == (None, "failed")
    assert set(found.tables["flat_ratio"].columns) <= set(table("flat_ratio").names)
    assert "NO_REFERENCE" not in {flag.name for flag in found.flags}


@pytest.mark.parametrize(("wavelength_nm", "is_missed"), [(800.0, False), (590.0, True)])
def test_a_missing_reference_is_said_except_at_its_own_wavelength(wavelength_nm, is_missed):
    found = calibrated([response()], wavelength_nm=wavelength_nm)
    assert found.tables["flat_ratio"].is_empty()
    assert ("NO_REFERENCE" in {flag.name for flag in found.flags}) is is_missed
