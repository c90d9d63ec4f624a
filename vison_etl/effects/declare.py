"""How an effect declares itself: what it measures on pixels, how it calibrates, how it is drawn.

A measurement is declared, not programmed: the tables it fills, its unit, its parameters, a version, and one pure function
from prepared arrays to records. The engine builds the units, prepares the frames in the worker and runs them anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry

if TYPE_CHECKING:
    import polars as pl

Parameters = Mapping[str, float | int | str | bool]
Unit = Literal["frame", "pair", "group", "columns"]
Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Columns of equal length: a table before it is one."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One raw frame as a measurement sees it: integers and what is needed to place them.

    ``image`` is the CCD frame as stored, shape (NAXIS2, NAXIS1): ``>i2`` as in the file (before BZERO 32768), which spares a pass
    over the pixels, or native uint16. The rows outside [vstart, vend) (canonical) hold code 0.
    """

    obsid: int
    ccd: str
    image: NDArray[np.int16] | NDArray[np.uint16]
    geometry: Geometry
    vstart: int
    vend: int


class FrameGroup(Protocol):
    """Several equal frames of one CCD, read by bands so that memory does not grow with their number."""

    @property
    def ccd(self) -> str:
        """Return the CCD of all frames."""
        ...

    @property
    def obsids(self) -> tuple[int, ...]:
        """Return the exposures in order of acquisition."""
        ...

    @property
    def geometry(self) -> Geometry:
        """Return the geometry of all frames."""
        ...

    @property
    def vstart(self) -> int:
        """Return the first row kept, canonical."""
        ...

    @property
    def vend(self) -> int:
        """Return the end row, exclusive, canonical."""
        ...

    def bands(self, rows: int) -> Iterator[tuple[str, int, NDArray[np.uint16]]]:
        """Yield (quadrant, y0, band): canonical views of shape (n_frames, <= rows, quadrant width), every row once."""
        ...


@dataclass(frozen=True, slots=True)
class Product:
    """A calibration product as arrays: named extensions in the CCD frame and header cards."""

    kind: str
    ccd: str
    extensions: Mapping[str, NDArray[Any]]
    cards: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


Given = Mapping[str, Product]
"""Products of other runs that a measurement wanted, by kind, all of its own CCD. A kind that there is not is not in it."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What one unit of a measurement gives: columns of its tables, without the keys the engine adds, and products."""

    tables: Mapping[str, Columns]
    products: tuple[Product, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A declared measurement.

    Parameters
    ----------
    name
        Unique within its effect.
    tables
        Lake tables filled. The engine adds ``block, test, acquisition, script_column, unit_key`` to every row.
    unit
        ``frame`` (one RawFrame), ``pair`` (two RawFrames of one script column and CCD: 1-2, 3-4, ...), ``group`` (a
        FrameGroup: all frames of one script column and CCD) or ``columns`` (all FrameGroups of one CCD, in the order of the script
        columns; those of one frame are left out).
    version
        Raised whenever the result may change.
    parameters
        Defaults, which a test's definition or ``--set`` may override.
    function
        ``function(frame, parameters)``, ``function(first, second, parameters)``, ``function(group, parameters)`` or
        ``function(groups, parameters)``. Where something is wanted, ``given`` (a `Given`) is its last argument.
    products
        Kinds of products that each unit makes. A unit whose product file is gone is measured again.
    wants
        Kinds of products of other runs that it takes: ``mask``, ``master_bias`` ... They are part of the key of its units. The
        result says what was there: nothing else is ever put in the place of what is missing.
    pairs_per_column
        Name of the parameter that says how many pairs of a script column and CCD are measured, from the first on: where pixels are
        dear, a sample of the pairs will do. Without it all are.
    """

    name: str
    tables: tuple[str, ...]
    unit: Unit
    version: int
    parameters: Parameters
    function: Callable[..., Extracted]
    products: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    pairs_per_column: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationInput:
    """All that a calibration may know. Frames are sorted by their keys.

    ``exposures`` are those of the acquisition with ``test, acquisition, script_column`` added and exclusions applied; ``statistics``
    their ``quadrant_stats`` with ``test`` and ``wavelength_nm``; ``measured`` the measurement tables of this acquisition; ``gain`` has
    one row per ccd and quadrant with ``gain_e_per_adu, gain_e_per_adu_err`` or is None when there is none.

    A test that uses the frames of others gets the rows of all of them: ``test`` and ``acquisition`` then name the source, and
    ``wavelength_nm`` of an exposure its light. A script column belongs to its test: ``col001`` of two sources are two columns. An
    exclusion that names the test itself is applied here only, the sources keep those rows.
    """

    test: str
    wavelength_nm: float | None
    parameters: Parameters
    exposures: pl.DataFrame
    statistics: pl.DataFrame
    measured: Mapping[str, pl.DataFrame]
    gain: pl.DataFrame | None


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag raised: its name in the flag table, how many things raised it, and the worst or first of them."""

    name: str
    n: int
    detail: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Result tables, without run_id, block, test and acquisition; flags; and products, one of each kind per CCD."""

    tables: Mapping[str, pl.DataFrame]
    flags: tuple[Flag, ...] = ()
    products: tuple[Product, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """One physical effect.

    ``calibrate`` is pure; ``version`` is raised whenever its result may change; ``parameters`` are its defaults;
    ``needs`` names results of other effects it wants (``gain``); ``tables`` the result tables it fills. ``uses`` names measurements
    of other effects whose tables it wants, as ``effect.measurement``: they are measured once for all tests that want them, with the
    parameters that the test which has the frames gives their owner.
    """

    name: str
    version: int
    measurements: tuple[Measurement, ...]
    parameters: Parameters
    calibrate: Callable[[CalibrationInput], Calibrated]
    tables: tuple[str, ...]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
