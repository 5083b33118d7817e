"""What tests share: one fit of the Hoffmann runs a session, and a way to simulate a table from any law."""

import os

# Matrices here are small: threads of BLAS that wait for each other on a busy machine cost minutes, and gain nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import evaluations
import numpy as np
import pandas as pd
import pytest

import forescale as fs

collect_ignore = ["numpyro_chinchilla.py"]  # a program for a process of its own: JAX is set up for all of one


@pytest.fixture(scope="session")
def hoffmann():
    return fs.load_dataset("hoffmann2022")


@pytest.fixture(scope="session")
def hoffmann_fit(hoffmann):
    return fs.fit(hoffmann, "chinchilla", random_seed=1)


@pytest.fixture(scope="session")
def simulate():
    """``simulate(law, truth, runs=..., sigma=..., seed=...)``: a table of runs from a known law.

    N and D are spread over three decades each, independently, so that every law is identified; C = 6ND. Noise is
    Student-t with 5 degrees of freedom on log loss.
    """

    def make(law, truth, *, runs=80, sigma=0.004, seed=0, scale=1.0):
        rng = np.random.default_rng(seed)
        n = scale * 10 ** rng.uniform(7.5, 10.5, runs)
        d = scale * 10 ** rng.uniform(8.8, 11.8, runs)
        minima = {"min_flops": 3 * n * d, "min_steps": d / 2**20}  # at a critical batch size of 2^19 tokens
        # of a generator of its own, so that other laws' tables are as they were
        minima["unique_tokens"] = d / 10 ** np.random.default_rng([seed, 1]).uniform(0, 2, runs)
        minima["n_stages"] = 1.0 + np.random.default_rng([seed, 4]).integers(0, 2, runs)
        minima["n_experts"] = 2.0 ** np.random.default_rng([seed, 2]).integers(0, 10, runs)
        minima["peak_steps"] = d / 2**20
        minima["cooling"] = 10 ** np.random.default_rng([seed, 3]).uniform(0, 1.5, runs)
        table = {"n_params": n, "n_tokens": d, "flops": 6 * n * d, **minima}
        loss = law(table, truth) * np.exp(sigma * rng.standard_t(5, runs))
        frame = pd.DataFrame({**table, "loss": loss})
        if "cooling" in law.inputs:  # whose cards take a standard error of loss
            frame["loss_se"] = sigma * loss
        return fs.Observations.from_frame(frame, name=f"simulated {law.name}")

    return make


@pytest.fixture
def eighty_columns(monkeypatch):
    """A terminal of 80 columns without colours, whatever this one is."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "PYTHONWARNINGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def evals_truth():
    return evaluations.TRUTH


@pytest.fixture(scope="session")
def evals():
    return fs.Outcomes.from_frame(evaluations.evaluated(seed=3))


@pytest.fixture(scope="session")
def links_fit(evals):
    return fs.fit_link(evals, draws=500, tune=700, random_seed=1, progress=False)
