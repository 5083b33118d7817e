"""Quantities as people write them, and cost models."""

import contextlib
import math
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from forescale import units
from forescale.errors import DataError
from forescale.units import (
    COST_MODELS,
    PF_DAY,
    CostModel,
    SixND,
    SixNDAttention,
    cost_model,
    flops_to_pf_days,
    format_quantity,
    parse_quantity,
    pf_days_to_flops,
)

finite = st.floats(min_value=-1e300, max_value=1e300)
sizes = st.floats(min_value=1e3, max_value=1e15)
models = pytest.mark.parametrize("model", [cls() for cls in COST_MODELS.values()], ids=lambda model: model.name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70B", 7e10),
        ("70 b", 7e10),
        ("1.4T", 1.4e12),
        ("350M", 3.5e8),
        ("350m", 3.5e8),
        ("7G", 7e9),
        ("2P", 2e15),
        ("512k", 5.12e5),
        ("5.76e23", 5.76e23),
        ("5.76E+23", 5.76e23),
        ("1e-3", 1e-3),
        ("1_000", 1e3),
        ("1,000", 1e3),
        ("1,234,567.5", 1234567.5),
        (" .5 ", 0.5),
        ("3.", 3.0),
        ("-70B", -7e10),
        (70_000_000_000, 7e10),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (0, 0.0),
    ],
)
def test_parses(text, value):
    assert parse_quantity(text) == value


NONSENSE = [
    "",
    " ",
    ".",
    "-",
    "e5",
    "B",
    "seventy",
    "70BB",
    "70 X",
    "1,5",
    "1,00",
    "10,0000",
    "1__0",
    "_1",
    "1 000",
]
NOT_FINITE = ["nan", "inf", "1e999", math.nan, math.inf, "7e", "0x10", "٣", True, None, 1j, [7]]


@pytest.mark.parametrize("text", [*NONSENSE, *NOT_FINITE], ids=repr)
def test_refuses_nonsense_and_shows_it(text):
    with pytest.raises(DataError, match="not a quantity.*70B") as caught:
        parse_quantity(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7e10, "70B"),
        (1.4e12, "1.4T"),
        (5.76e23, "5.76e23"),
        (1e15, "1e15"),
        (9.994e14, "999T"),
        (9.996e14, "1e15"),
        (999_999, "1M"),
        (1_000, "1K"),
        (999.4, "999"),
        (20, "20"),
        (0.05, "0.05"),
        (1e-5, "1e-5"),
        (0, "0"),
        (-7e10, "-70B"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_formats(value, text):
    assert format_quantity(value) == text


@settings(deadline=None)
@given(finite)
def test_format_keeps_three_digits(value):
    assert parse_quantity(format_quantity(value)) == pytest.approx(float(f"{value:.2e}"), rel=1e-12, abs=0)


@settings(deadline=None)
@given(finite)
def test_format_of_what_was_parsed_is_itself(value):
    text = format_quantity(value)
    assert format_quantity(parse_quantity(text)) == text


@settings(deadline=None)
@given(finite)
def test_parses_what_python_prints(value):
    assert parse_quantity(repr(value)) == value


@settings(deadline=None)
@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_parses_grouped_digits(value):
    assert parse_quantity(f"{value:,}") == parse_quantity(f"{value:_}") == float(value)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,_eE+-KMBGTP x"))
def test_text_is_a_finite_number_or_a_data_error(text):
    with contextlib.suppress(DataError):
        assert math.isfinite(parse_quantity(text))


def test_pf_days():
    assert PF_DAY == 1e15 * 24 * 3600
    assert pf_days_to_flops(2.0) == 1.728e20
    np.testing.assert_allclose(flops_to_pf_days(pf_days_to_flops(np.array([0.1, 3.0]))), [0.1, 3.0])


def test_six_nd():
    assert SixND().flops(70e9, 1.4e12) == pytest.approx(5.88e23)


def test_attention_counts_what_kaplan_et_al_count():
    layers, width, context = 12, 1200, 1024  # aspect ratio 100
    n = 12 * layers * width**2
    forward = 2 * n + 2 * layers * context * width  # their table 1, per token
    model = SixNDAttention(n_ctx=context, aspect_ratio=width / layers)
    assert model.flops_per_token(n) == pytest.approx(3 * forward)
    assert SixNDAttention(n_ctx=0).flops_per_token(n) == pytest.approx(6 * n)


def test_attention_matters_less_the_larger_the_model():
    n = np.logspace(6, 12, 20)
    excess = SixNDAttention().flops_per_token(n) / SixND().flops_per_token(n) - 1
    assert np.all(np.diff(excess) < 0)
    np.testing.assert_allclose(np.diff(np.log(excess)) / np.diff(np.log(n)), -1 / 3)


@models
@settings(deadline=None)
@given(n_params=sizes, n_tokens=sizes)
def test_flops_are_inverted_exactly(model, n_params, n_tokens):
    flops = model.flops(n_params, n_tokens)
    assert model.n_tokens(flops, n_params) == pytest.approx(n_tokens, rel=1e-12)
    assert model.n_params(flops, n_tokens) == pytest.approx(n_params, rel=1e-9)


@models
def test_floats_numpy_and_xarray_agree(model):
    n, d = np.array([1e6, 1e9, 1e12]), np.array([1e9, 1e11, 1e13])
    flops = model.flops(n, d)
    labelled = model.flops(xr.DataArray(n, dims="size"), xr.DataArray(d, dims="data"))
    assert labelled.dims == ("size", "data")
    for i in range(3):
        assert model.flops(float(n[i]), float(d[i])) == pytest.approx(flops[i])
        assert float(labelled[i, i]) == pytest.approx(flops[i])
    np.testing.assert_allclose(
        model.n_params(labelled, xr.DataArray(d, dims="data")).transpose("size", "data")[:, 0], n
    )


@models
def test_whole_numbers_do_not_wrap_around(model):
    n, d = np.array([10**11]), np.array([10**13])
    assert model.flops(n, d)[0] > 5e24


@pytest.mark.parametrize("name", COST_MODELS)
def test_cost_model_by_name(name):
    assert cost_model(name) == COST_MODELS[name]()
    assert cost_model(name).name == name


def test_cost_model_takes_an_instance():
    mine = SixNDAttention(n_ctx=4096)
    assert cost_model(mine) is mine


def test_registry_holds_every_cost_model_that_a_name_says_all_of():
    """Not what serving costs, which has a number of tokens that nobody but the user knows."""
    assert set(COST_MODELS.values()) == {
        cost for cost in CostModel.__subclasses__() if cost.__module__ == units.__name__
    }


def test_unknown_cost_model_lists_the_known():
    with pytest.raises(DataError, match=r"'7ND'.*'6ND', '6ND\+attention'"):
        cost_model("7ND")


@pytest.mark.parametrize("settings", [{"n_ctx": -1}, {"aspect_ratio": 0.0}, {"aspect_ratio": math.nan}])
def test_attention_refuses_impossible_shapes(settings):
    with pytest.raises(DataError, match=next(iter(settings))):
        SixNDAttention(**settings)


def test_import_is_light():
    code = "import sys, forescale.units; print({'pandas', 'xarray', 'pymc'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
