"""The runs at the front of a table."""

import numpy as np

from forescale.numbers.fronts import front


def test_the_front_is_what_no_smaller_run_beats():
    size = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0])
    loss = np.array([3.0, 2.5, 2.6, 2.7, 2.5, 2.0])
    assert list(front(size, loss)) == [True, True, False, False, False, True]


def test_the_order_of_the_runs_does_not_matter_and_brute_force_agrees():
    rng = np.random.default_rng(0)
    size, loss = rng.integers(1, 20, 60).astype(float), rng.integers(1, 20, 60).astype(float)
    found = front(size, loss)
    order = rng.permutation(60)
    assert {(size[i], loss[i]) for i in np.flatnonzero(found)} == {
        (size[order][i], loss[order][i]) for i in np.flatnonzero(front(size[order], loss[order]))
    }
    for i in range(60):
        beaten = [j for j in range(60) if size[j] <= size[i] and (loss[j] < loss[i] or (loss[j] == loss[i] and j < i))]
        beaten += [j for j in range(60) if size[j] < size[i] and loss[j] == loss[i]]
        assert found[i] == (not beaten)
