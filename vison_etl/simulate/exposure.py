"""One planned exposure: what was commanded, when, and what the detector will see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from vison_etl.elvis.logcells import LogValue
from vison_etl.elvis.stamps import format_stamp
from vison_etl.simulate.quadrant import Shot

CCDS = ("CCD1", "CCD2", "CCD3")
QUADRANTS = ("E", "F", "G", "H")


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure of the plan.

    Parameters
    ----------
    acquisition
        ``BLOCK/TEST/<first obsid>`` of the acquisition it belongs to.
    logged
        Normalised name -> value: what the log and the headers say of all three CCDs.
    comments
        Tag of the script column, which only headers have.
    """

    obsid: int
    test: str
    acquisition: str
    script_column: str
    started_at: datetime
    logged: Mapping[str, LogValue]
    comments: str
    shot: Shot

    @property
    def stamp(self) -> str:
        """Start of the exposure as in file names."""
        return format_stamp(self.started_at)

    def file_name(self, ccd: str) -> str:
        """Return the name of the frame of one CCD, without folder and ending."""
        return f"EUC_{self.obsid}_{self.stamp}_ROE1_{ccd}"

    @property
    def hk_name(self) -> str:
        """Name of the housekeeping file."""
        return f"HK_{self.obsid}_{self.stamp}_ROE1.txt"

    def log_row(self, ccd: str) -> dict[str, LogValue]:
        """Return the row of the exposure log for one CCD."""
        return {**self.logged, "ccd": ccd, "file_name": self.file_name(ccd)}
