import pytest

from vison_etl.report.markup import Html, element, escaped, joined
from vison_etl.report.page import script_json
from vison_etl.report.rounding import counted, duration, measured, unit_text, written


def test_text_is_escaped_and_markup_is_not():
    made = element("p", "a < b & c", Html("<b>x</b>"), None, class_="n", title='say "so"')
    assert made.text == '<p class="n" title="say &quot;so&quot;">a &lt; b &amp; c<b>x</b></p>'


def test_attributes_true_and_absent():
    assert element("details", open=True, id=None, hidden=False).text == "<details open></details>"


def test_control_characters_cannot_enter():
    assert escaped("a\x00b\x1bc\td").text == "a\ufffdb\ufffdc\td"


def test_joined_escapes_plain_text_only():
    assert joined(["<", Html("<"), None]).text == "&lt;<"


def test_json_in_a_script_element_cannot_end_it():
    text = script_json({"a": "</script><!-- \u2028", "b": [1, None]})
    assert "<" not in text
    assert "\u2028" not in text


def test_json_refuses_nan():
    with pytest.raises(ValueError, match="JSON"):
        script_json({"a": float("nan")})


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.50012, 0.00163, "3.5001 ± 0.0016"),
        (2650.1234, 0.05, "2650.123 ± 0.050"),
        (48000.0, 1500.0, "48000 ± 1500"),
        (152162.0, 20699.0, "152000 ± 21000"),
        (-1.234e-6, 2.1e-8, "(−1.234 ± 0.021)·10⁻⁶"),
        (0.0, 0.01, "0.000 ± 0.010"),
        (-0.0001, 0.01, "0.000 ± 0.010"),
        (1.25, None, "1.25"),
        (1.23456789, None, "1.2346"),
        (152162.4, None, "152160"),
        (4.2e-9, None, "4.200·10⁻⁹"),
        (0.0, None, "0"),
        (None, 0.1, "–"),
        (float("nan"), 0.1, "–"),
        (2.0, float("nan"), "2"),
    ],
)
def test_a_value_has_the_digits_its_error_supports(value, error, text):
    assert measured(value, error) == text


def test_other_values():
    assert [written(v) for v in (None, True, 12345678, 2.5, "x")] == ["–", "yes", "12345678", "2.5", "x"]
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert [duration(s) for s in (None, 3.21, 65.0, 7260.0)] == ["–", "3.2 s", "1 min 05 s", "2 h 01 min"]
    assert unit_text("e/ADU") == "e⁻/ADU"
    assert unit_text("V") == "V"
