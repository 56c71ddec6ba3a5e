from __future__ import annotations

import numpy as np
import pytest

from seepseg.conditions.cmod import FASTEST, SLOWEST, cmod5n, wind_speed

# Incidence, wind speed, angle from upwind, σ0: of xsarsea 2.1.2, whose CMOD5.N is a translation of KNMI's Fortran.
VALUES = [
    (20.0, 5.0, 0.0, 0.3935984429582824),
    (25.0, 15.0, 135.0, 0.35408268050007885),
    (30.0, 2.0, 0.0, 0.01509029681007412),
    (30.0, 5.0, 45.0, 0.04055108714479369),
    (30.0, 10.0, 90.0, 0.06497473461251596),
    (35.0, 7.0, 180.0, 0.03588020705901576),
    (40.0, 4.0, 60.0, 0.0064893192742114195),
    (40.0, 10.0, 0.0, 0.05073912449747202),
    (45.0, 2.0, 0.0, 0.0028373826394280286),
    (45.0, 10.0, 90.0, 0.009791269499904706),
]


@pytest.mark.parametrize(("incidence", "speed", "phi", "sigma0"), VALUES)
def test_backscatter_is_that_of_another_translation(incidence: float, speed: float, phi: float, sigma0: float) -> None:
    assert cmod5n(np.array(speed), np.array(incidence), np.array(phi)) == pytest.approx(sigma0, rel=1e-9)
    found = wind_speed(np.array(sigma0), np.array(incidence), np.array(phi))
    assert found == pytest.approx(speed, abs=0.002)


def test_it_rises_with_the_wind_at_every_angle() -> None:
    speed = np.linspace(SLOWEST, FASTEST, 300)[:, None, None]
    sigma0 = cmod5n(speed, np.arange(18.0, 51.0, 2)[:, None], np.arange(0.0, 181.0, 15))
    assert (np.diff(sigma0, axis=0) > 0).all()


def test_what_no_wind_makes_is_the_end_of_the_range_and_what_is_unknown_stays_so() -> None:
    found = wind_speed(np.array([0.0, 9.0, np.nan, 0.01]), np.full(4, 35.0), np.array([0.0, 0.0, 0.0, np.nan]))
    assert found[:2] == pytest.approx([SLOWEST, FASTEST], abs=0.002)
    assert np.isnan(found[2:]).all()
