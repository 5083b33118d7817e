"""Forecasts: the law at the draws, noise in ``run`` only, points as people give them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import forescale as fs

POINTS = {"n_params": [70e9, 280e9], "n_tokens": [1.4e12, 300e9]}


def test_mean_is_the_law_at_each_draw(hoffmann_fit):
    forecast = fs.forecast(hoffmann_fit, **POINTS, random_seed=0)
    p = hoffmann_fit.posterior
    by_hand = p["E"] + p["A"] / 280e9 ** p["alpha"] + p["B"] / 300e9 ** p["beta"]
    np.testing.assert_allclose(forecast.draws["mean"].isel(point=1), by_hand, rtol=1e-12)
    assert forecast.draws["mean"].dims == forecast.draws["run"].dims == ("chain", "draw", "point")
    assert forecast.draws.sizes == {"chain": 4, "draw": 1000, "point": 2}


def test_run_adds_the_noise_and_only_it(hoffmann_fit):
    plain = replace(hoffmann_fit, model=hoffmann_fit.model.with_discrepancy(None))
    forecast = fs.forecast(plain, n_params=[70e9] * 50, n_tokens=1.4e12, random_seed=0)
    error = np.log(forecast.draws["run"] / forecast.draws["mean"])
    from scipy import stats

    p = hoffmann_fit.posterior
    uniform = stats.t.cdf(error.values, df=p["nu"].values[..., None], scale=p["sigma"].values[..., None]).ravel()
    assert stats.kstest(uniform[::7], "uniform").pvalue > 0.001
    wrong = stats.t.cdf(1.05 * error.values, df=p["nu"].values[..., None], scale=p["sigma"].values[..., None])
    assert stats.kstest(wrong.ravel()[::7], "uniform").pvalue < 0.001


def test_table_says_what_its_bands_are(hoffmann_fit):
    forecast = fs.forecast(hoffmann_fit, **POINTS, random_seed=0)
    table = forecast.table(prob=0.8)
    assert list(table.columns) == ["n_params", "n_tokens", "kind", "median", "lower", "upper", "prob", "interval"]
    assert list(table["kind"]) == ["mean", "run"] * 2
    assert (table["prob"] == 0.8).all()
    assert (table["interval"] == "equal-tailed").all()
    low, high = np.quantile(forecast.draws["mean"].isel(point=0), [0.1, 0.9])
    assert table.loc[0, "lower"] == pytest.approx(low)
    assert table.loc[0, "upper"] == pytest.approx(high)
    width = (table["upper"] - table["lower"]).to_numpy()
    assert (width[1::2] > width[::2]).all()
    assert list(forecast.table(kind="run")["kind"]) == ["run", "run"]
    assert "70B" in repr(forecast)
    assert "equal-tailed" in repr(forecast)


def test_points_as_text_frame_or_broadcast(hoffmann_fit):
    same = [
        fs.forecast(hoffmann_fit, **POINTS),
        fs.forecast(hoffmann_fit, n_params=["70B", "280B"], n_tokens=["1.4T", "300B"]),
        fs.forecast(hoffmann_fit, pd.DataFrame({**POINTS, "note": ["a", "b"]})),
        fs.forecast(hoffmann_fit, points=pd.DataFrame(POINTS)),
    ]
    for other in same[1:]:
        np.testing.assert_array_equal(other.draws["mean"], same[0].draws["mean"])
    assert fs.forecast(hoffmann_fit, n_params=["1B", "2B", "3B"], n_tokens="1T").draws.sizes["point"] == 3


def test_seed_fixes_the_noise(hoffmann_fit):
    one, two, three = (fs.forecast(hoffmann_fit, **POINTS, random_seed=seed).draws["run"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n_params": 1e9}, "missing: n_tokens"),
        ({**POINTS, "flops": 1e21}, "not among them: flops"),
        ({"n_params": [1e9, 0], "n_tokens": 1e10}, "n_params must be above zero; it is not at point 1"),
        ({"n_params": "7 B parameters", "n_tokens": 1e10}, "is not a quantity"),
        ({"n_params": [1e9, 2e9], "n_tokens": [1e10, 2e10, 3e10]}, "n_params has 2, n_tokens has 3"),
        ({"n_params": [], "n_tokens": []}, "there are no points"),
        ({"n_params": [[1e9]], "n_tokens": 1e10}, "one number or a list"),
        ({}, "give points either"),
    ],
)
def test_bad_points_are_refused(hoffmann_fit, given, says):
    with pytest.raises(fs.DataError, match=says):
        fs.forecast(hoffmann_fit, **given)


def test_bad_bands_are_refused(hoffmann_fit):
    forecast = fs.forecast(hoffmann_fit, **POINTS)
    with pytest.raises(fs.DataError, match="prob is the probability mass"):
        forecast.table(prob=90)
    with pytest.raises(fs.DataError, match="'mean' or 'run'"):
        forecast.table(kind="both")
    with pytest.raises(fs.ModelError, match="hoffmann2022 has no noise model"):
        fs.forecast(fs.published("hoffmann2022"), **POINTS).table(kind="run")


def test_a_known_error_of_the_new_run_widens_its_band(hoffmann):
    frame = hoffmann.table.assign(loss_se=lambda runs: 0.003 * runs["loss"])
    fit = fs.fit(frame, fs.load_model("chinchilla").with_noise("known").with_discrepancy(None), random_seed=1)
    without = fs.forecast(fit, **POINTS, random_seed=0).draws["run"].std()
    noisy = fs.forecast(fit, pd.DataFrame({**POINTS, "loss_se": 0.2}), random_seed=0).draws["run"].isel(point=0)
    assert float(noisy.std()) == pytest.approx(np.sqrt(0.2**2 + float(without) ** 2), rel=0.3)
    assert float(noisy.std()) > 5 * float(fs.forecast(fit, **POINTS).draws["run"].isel(point=0).std())
