"""Wind over the sea and its backscatter in C band, VV: the model function CMOD5.N and its inversion.

Source: Hersbach, "CMOD5.N: a C-band geophysical model function for equivalent neutral wind", ECMWF Technical Memorandum
554, 2008; form of the function: Hersbach, Stoffelen and de Haan 2007, JGR 112, C03006.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

# c1 … c28 of table 1.
_A = (-0.6878, -0.7957, 0.3380, -0.1728, 0.0000, 0.0040, 0.1103, 0.0159)
_GAMMA, _S0 = (6.7329, 2.7713, -2.2885), (0.4971, -0.7250)
_B1 = (0.0450, 0.0066, 0.3222, 0.0120, 22.7000)
_Y0, _N = 2.0813, 3.0000
_V0, _D1, _D2 = (8.3659, -3.3428, 1.3236), (6.2437, 2.3893, 0.3249), (4.1590, 1.6930)

SLOWEST, FASTEST = 0.2, 25.0
"""Wind speeds, m/s, between which the function is inverted; between 18 and 50 degrees it rises all the way there."""
STEPS = 14
"""Halvings of that range: to 2 mm/s."""


def cmod5n(speed: Field, incidence: Field, phi: Field) -> Field:
    """Linear σ0 (…) of wind at 10 m, in neutral stratification.

    Args:
        speed: m/s.
        incidence: degrees, 18 to 58 in the data that it was fitted to.
        phi: degrees from the direction in which the radar looks to that which the wind comes from: 0 is upwind.
    """
    v, x, angle = speed, (incidence - 40) / 25, np.radians(phi)
    a0, a1, a2 = _A[0] + _A[1] * x + _A[2] * x**2 + _A[3] * x**3, _A[4] + _A[5] * x, _A[6] + _A[7] * x
    gamma, s0 = _GAMMA[0] + _GAMMA[1] * x + _GAMMA[2] * x**2, _S0[0] + _S0[1] * x
    s = a2 * v
    rise = 1 / (1 + np.exp(-np.maximum(s, s0)))
    rise = rise * np.where(s < s0, (np.minimum(s, s0) / s0), 1.0) ** (s0 * (1 - rise))
    b0 = rise**gamma * 10 ** (a0 + a1 * v)
    b1 = _B1[0] * (1 + x) - _B1[1] * v * (0.5 + x - np.tanh(4 * (x + _B1[2] + _B1[3] * v)))
    b1 = b1 / (1 + np.exp(0.34 * (v - _B1[4])))
    v0 = _V0[0] + _V0[1] * x + _V0[2] * x**2
    d1, d2 = _D1[0] + _D1[1] * x + _D1[2] * x**2, _D2[0] + _D2[1] * x
    y = 1 + v / v0
    start, bend = _Y0 - (_Y0 - 1) / _N, 1 / (_N * (_Y0 - 1) ** (_N - 1))
    y = np.where(y < _Y0, start + bend * (y - 1) ** _N, y)
    b2 = (d2 * y - d1) * np.exp(-y)
    return np.asarray(b0 * (1 + b1 * np.cos(angle) + b2 * np.cos(2 * angle)) ** 1.6)


def wind_speed(sigma0: Field, incidence: Field, phi: Field) -> Field:
    """Wind speeds (…), m/s, of linear σ0 in VV, by halving; NaN where one of the three is unknown.

    What is darker or brighter than any wind of the range makes it gets the nearest of its ends.
    """
    low, high = (np.full(np.shape(sigma0), end) for end in (SLOWEST, FASTEST))
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = cmod5n(middle, incidence, phi) < sigma0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(np.isfinite(sigma0 + incidence + phi), (low + high) / 2, np.nan)
