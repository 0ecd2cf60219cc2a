"""Sobol's sequences, against SciPy's and PyTorch's numbers."""

import numpy as np
import pytest
from scipy.stats import qmc

import argand as ag
from argand.quasirandom import SobolEngine

# SobolEngine(5, scramble=True, seed=7).draw(4) of PyTorch
SCRAMBLED = [
    [0.19947313, 0.1709322, 0.74935693, 0.18431377, 0.55052245],
    [0.73242599, 0.86073208, 0.2073864, 0.80683655, 0.15096521],
    [0.85016418, 0.42058551, 0.90000665, 0.37328631, 0.31759462],
    [0.31721041, 0.61013365, 0.42438176, 0.7428633, 0.98058033],
]


@pytest.mark.parametrize("dimension", [1, 2, 17, 1111])
def test_points_are_scipys(dimension):
    wanted = qmc.Sobol(dimension, scramble=False, bits=30).random_base2(7)
    found = SobolEngine(dimension).draw_base2(7, dtype=ag.float64)
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_points_follow_one_another():
    engine, wanted = SobolEngine(3), SobolEngine(3).draw(20)
    assert ag.equal(ag.cat([engine.draw(), engine.draw(4), engine.draw(0)]), wanted[:5])
    assert ag.equal(engine.fast_forward(5).draw(2), wanted[10:12]) and engine.num_generated == 12
    out = ag.empty(0)
    assert engine.reset().draw(3, out=out) is out and ag.equal(out, wanted[:3])
    assert repr(engine) == "SobolEngine(dimension=3)"


def test_scrambled_points_are_pytorchs():
    with ag.settings.using(generator="mt19937"):
        engine = SobolEngine(5, scramble=True, seed=7)
        np.testing.assert_allclose(engine.draw(4).numpy(), SCRAMBLED, atol=1e-7)
        before = ag.get_rng_state()
        SobolEngine(2, scramble=True, seed=1)
        assert ag.equal(ag.get_rng_state(), before)
    assert repr(engine) == "SobolEngine(dimension=5, scramble=True, seed=7)"


def test_scrambled_points_are_even():
    """Every dimension has one of 2^6 points in each of 2^6 parts."""
    for seed in (0, 1, None):
        points = SobolEngine(40, scramble=True, seed=seed).draw_base2(6).numpy()
        parts = np.sort((points * 64).astype(int), axis=0)
        np.testing.assert_array_equal(parts, np.repeat(np.arange(64)[:, None], 40, axis=1))


def test_what_cannot_be_drawn():
    for dimension in (0, 1112):
        with pytest.raises(ValueError, match="from 1 to 1111"):
            SobolEngine(dimension)
    engine = SobolEngine(2)
    engine.draw(3)
    with pytest.raises(ValueError, match=r"3 points and 2\^3 are 11"):
        engine.draw_base2(3)
    with pytest.raises(ag.ArgandError, match="must be of floats, got int64"):
        engine.draw(dtype=ag.int64)
