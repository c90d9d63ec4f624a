"""A source that drifts and a shutter that is not as its table says."""

from datetime import datetime

import numpy as np

from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.unsteady import planned_exposures

PLAN = plan_day("BORN", ["NL02"], datetime(2019, 3, 12, 8), 17001, seed=5)  # noqa: DTZ001 - the bench knows no zone


def test_without_options_nothing_changes():
    assert planned_exposures(PLAN, None) == planned_exposures(PLAN, Options()) == exposures(PLAN)


def test_drift_and_shutter():
    plain = exposures(PLAN)
    changed = planned_exposures(PLAN, Options(source_wander=0.03, shutter_error_s=0.025))
    ratio = np.array([b.shot.level / a.shot.level for a, b in zip(plain, changed, strict=True)])
    assert ratio.min() == 1.0
    np.testing.assert_allclose(ratio.max(), 1.03)
    assert np.abs(np.diff(ratio)).max() < 0.003
    longer = {round(b.shot.open_s - a.shot.open_s, 9) for a, b in zip(plain, changed, strict=True)}
    assert longer == {0.0, 0.025}
    assert all(b.shot.open_s == 0.0 for a, b in zip(plain, changed, strict=True) if a.shot.open_s == 0.0)
