"""Schedules: shapes, areas, and what is refused."""

import numpy as np
import pytest

import forescale as fs
from forescale.errors import DataError
from forescale.tables.schedules import SHAPES


def areas_by_loops(rates, memory, warmup):
    """Tissue et al.'s S1 and S2 (arXiv:2408.11029), by their sums, with warm-up as if at the peak."""
    decay, peak = 1 - 1 / memory, max(rates)
    s1 = s2 = momentum = 0.0
    before, forward, annealing = peak, [], []
    for i, rate in enumerate(rates):
        now = peak if i < warmup else rate
        momentum = decay * momentum + (before - now)
        before, s1, s2 = now, s1 + rate, s2 + momentum
        forward.append(s1)
        annealing.append(s2)
    return np.array(forward), np.array(annealing)


@pytest.mark.parametrize("shape", SHAPES)
def test_areas_are_those_of_the_paper(shape):
    plan = fs.Schedule.wsd(900, decay=300, warmup=100, final=0.05, shape=shape, peak=3e-4)
    step = np.arange(1, 901)
    forward, annealing = areas_by_loops(plan.rates, 150.0, 100)
    np.testing.assert_allclose(plan.forward_area(step), forward, rtol=1e-12)
    np.testing.assert_allclose(plan.annealing_area(step, 150), annealing, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(plan.peak_steps(step), forward / 3e-4, rtol=1e-12)
    np.testing.assert_allclose(plan.cooling(step, 150), 3e-4 / (3e-4 - annealing / 150), rtol=1e-9)
    # the partner: another memory has another area
    assert np.abs(plan.annealing_area(step, 300) - annealing).max() > 1e-3


def test_shapes_begin_at_the_peak_and_end_where_told():
    for shape in SHAPES:
        plan = fs.Schedule.wsd(1000, decay=200, warmup=50, final=0.1, shape=shape)
        assert plan.rate([25, 50, 51, 800]).tolist() == [0.5, 1.0, 1.0, 1.0]
        assert plan.rate(1000) == pytest.approx(0.1)
        assert np.all(np.diff(plan.rate(np.arange(800, 1001))) < 0)
    assert fs.Schedule.wsd(1000, decay=200, final=0.2, shape="exponential").rate(900) == pytest.approx(0.2**0.5)
    assert fs.Schedule.wsd(1000, decay=200, final=0, shape="1-sqrt").rate(850) == pytest.approx(0.5)
    assert fs.Schedule.cosine(1000, final=0.1).rate(500) == pytest.approx(0.55)
    assert set(fs.Schedule.constant(1000).rates) == {1.0}


def test_cooling_is_one_until_annealing_and_steps_count_after_warmup():
    plan = fs.Schedule.wsd("10K", decay="2K", warmup=1000, final=0)
    assert np.all(plan.cooling(np.arange(1, 8001)) == pytest.approx(1.0))
    assert plan.cooling(10_000) > 2
    assert plan.peak_steps(8000) == pytest.approx(7000 + 500.5)  # a warm-up counts half its steps


def test_a_table_is_read_between_its_rows():
    written = fs.Schedule.cosine(2000, warmup=200, final=0.1, peak=2e-4)
    rows = np.array([*range(200, 2001, 20)])
    table = fs.Schedule.from_table(rows[::-1], written.rate(rows)[::-1], warmup=200)
    np.testing.assert_allclose(table.rates, written.rates, rtol=2e-3)
    assert table.steps == 2000
    told = fs.Schedule.from_table(np.arange(1, 2001), written.rates)  # whose rise is in the table
    assert told.warmup == 200
    np.testing.assert_allclose(told.cooling(2000), written.cooling(2000))
    assert fs.Schedule.from_table([100, 500, 1000], [1.0, 1.0, 0.5]).warmup == 0
    assert fs.Schedule.from_table([500, 1000], [1.0, 0.5]).rate([1, 750]).tolist() == [1.0, 0.75]


def test_words_are_read():
    assert np.array_equal(
        fs.Schedule.parse("wsd:24K, decay=4000, warmup=2K, final=0.2, shape=cosine").rates,
        fs.Schedule.wsd(24_000, decay=4000, warmup=2000, final=0.2, shape="cosine").rates,
    )
    assert fs.Schedule.parse("constant:100").name == "constant"
    assert repr(fs.Schedule.parse("cosine:24000,warmup=2000")).endswith("ending at 10 % of the peak")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fs.Schedule.parse("cosin:2000"), "no schedule is written 'cosin:2000'"),
        (lambda: fs.Schedule.parse("wsd:2000"), "wsd:STEPS,decay=STEPS"),
        (lambda: fs.Schedule.parse("constant:2000,final=0.1"), "write constant:STEPS"),
        (lambda: fs.Schedule.parse("cosine:many"), "many"),
        (lambda: fs.Schedule.cosine(100, warmup=100), "leaves none of 100"),
        (lambda: fs.Schedule.cosine(100, final=1.5), "from 0 to 1"),
        (lambda: fs.Schedule.cosine(1e12), "whole number of steps"),
        (lambda: fs.Schedule.wsd(100, decay=80, warmup=30), "more than the 100 steps"),
        (lambda: fs.Schedule.wsd(100, decay=80, final=0, shape="exponential"), "never reaches zero"),
        (lambda: fs.Schedule.wsd(100, decay=80, shape="steep"), "not 'steep'"),
        (lambda: fs.Schedule([1.0, -1.0]), "the first -1.0 at step 2"),
        (lambda: fs.Schedule([0.0, 0.0]), "above zero"),
        (lambda: fs.Schedule.from_table([1, 1], [1, 1]), "all different"),
        (lambda: fs.Schedule.from_table([1, 50], [1, 1], warmup=60), "within the warm-up"),
        (lambda: fs.Schedule.constant(100).rate(101), "steps 1 to 100; asked was 101"),
        (lambda: fs.Schedule.constant(100).cooling(50, memory=0), "memory"),
    ],
)
def test_what_is_no_schedule_is_refused(make, says):
    with pytest.raises(DataError, match=says):
        make()
