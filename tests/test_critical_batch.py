"""The critical batch size: the relation that defines it, and conversions there and back."""

import numpy as np
import pytest
import xarray as xr

from forescale.errors import DataError
from forescale.numbers.critical_batch import critical_batch_size, flops_at, min_flops, min_steps, steps_at

BATCHES = np.logspace(3, 9, 13)


def trade_off(steps, least_steps, examples, least_examples):
    """The left side of equation 5.1 of arXiv:2001.08361, which is one."""
    return (steps / least_steps - 1) * (examples / least_examples - 1)


def test_conversions_keep_the_relation_between_steps_and_examples():
    """(S / S_min - 1) (E / E_min - 1) = 1 at every batch size, E_min being C_min / (6 N) and B_crit E_min / S_min."""
    critical, least, n_params = 2e6, 5e3, 1e9
    steps = steps_at(least, BATCHES, critical)
    examples = BATCHES * steps
    least_examples = min_flops(6 * n_params * examples, BATCHES, critical) / (6 * n_params)
    np.testing.assert_allclose(least_examples, critical * least, rtol=1e-12)
    np.testing.assert_allclose(trade_off(steps, least, examples, least_examples), 1.0, rtol=1e-9)
    # the partner: with the ratio of the batch sizes upside down the relation is lost
    wrong = least * (1 + BATCHES / critical)
    assert np.abs(trade_off(wrong, least, BATCHES * wrong, least_examples) - 1).max() > 0.5


def test_at_the_critical_batch_size_both_are_twice_their_least():
    assert steps_at(5e3, 2e6, 2e6) == 1e4
    assert flops_at(5e21, 2e6, 2e6) == 1e22


def test_far_from_the_critical_batch_size_one_is_its_least():
    assert min_steps(1e4, 1e15, 2e6) == pytest.approx(1e4, rel=1e-8)
    assert min_flops(1e22, 1e-3, 2e6) == pytest.approx(1e22, rel=1e-8)


@pytest.mark.parametrize(("there", "back"), [(min_steps, steps_at), (min_flops, flops_at)])
def test_there_and_back(there, back):
    values = np.logspace(3, 24, 13)
    np.testing.assert_allclose(back(there(values, BATCHES, 2e6), BATCHES, 2e6), values, rtol=1e-14)
    assert np.all(there(values, BATCHES, 2e6) < values)


def test_the_fixed_batch_of_the_paper():
    """Runs of 2.5e5 steps of 2^19 tokens (section 2.2): at 3 nats they were below the critical batch size."""
    critical = critical_batch_size(3.0, 2.1e8, 0.21)
    assert critical == pytest.approx(2.1e8 / 3.0**4.7619, rel=1e-4)
    assert critical > 2**19
    assert min_steps(2.5e5, 2**19, critical) < 2.5e5 / 3


def test_every_kind_of_value():
    losses = np.array([[2.0, 3.0], [4.0, 5.0]])
    expected = [[critical_batch_size(float(loss), 2.1e8, 0.21) for loss in row] for row in losses]
    labelled = xr.DataArray(losses, dims=("draw", "point"))
    alpha = xr.DataArray([0.21, 0.21], dims="draw")
    np.testing.assert_allclose(critical_batch_size(losses, 2.1e8, 0.21), expected, rtol=1e-14)
    found = critical_batch_size(labelled, 2.1e8, alpha)
    assert set(found.dims) == {"draw", "point"}
    np.testing.assert_allclose(found.transpose("draw", "point"), expected, rtol=1e-14)
    assert min_steps(labelled, 1e6, 2e6).dims == ("draw", "point")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: critical_batch_size(0.0, 2.1e8, 0.21),
            "loss must be finite and above zero; 1 of 1 are not, such as 0",
        ),
        (lambda: critical_batch_size(3.0, -1.0, 0.21), "B_star must be finite and above zero"),
        (lambda: critical_batch_size([3.0, np.nan], 2.1e8, 0.21), "loss must .* 1 of 2 are not, such as nan"),
        (
            lambda: critical_batch_size(3.0, 2.1e8, "0.21"),
            "alpha_B must be a number or an array of numbers, not '0.21'",
        ),
        (lambda: min_steps(-1.0, 1e6, 1e6), "steps must"),
        (lambda: steps_at(1e4, 0, 1e6), "batch_size must"),
        (lambda: min_flops(1e22, 1e6, np.inf), "critical must"),
        (lambda: flops_at(None, 1e6, 1e6), "min_flops must be a number"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(DataError, match=says):
        call()
