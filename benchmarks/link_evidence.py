"""Whether the evidence that `emergence` weighs links by is right, against importance sampling of its own.

Simulated tasks of `emergence.py`: a smooth rise, a jump by 4, a smooth rise on the exponential link, all of five
tokens and in exact match. For both links, smooth, steeper and flatter, the log evidence is worked out twice:

- ours, as `fs.emergence` has it: particles from prior to posterior in the coordinates of the link, bridge sampling;
- by hand: densities by SciPy, each parameter by its quantile under the prior, and draws from a mixture of 200 Student-t
  that is laid, round by round, over what the round before found likely, with a part of 5 % from the prior. Weights
  average to the evidence whatever the mixture; how far six last rounds differ is the error.

The partner that must fail: the same by hand with jumps a third as large and spans twice as long beforehand.

Run::

    python benchmarks/link_evidence.py --json link_evidence.json
    python benchmarks/link_evidence.py --smoke

What it showed: README.md beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from emergence import tasks, views
from measure import conclude, load_average, parser, print_table
from scipy import stats
from scipy.special import betaln, gammaln, logsumexp, ndtr

import forescale as fs

PRIORS = {  # as the cards of both links and the documentation of `emergence` print them
    "middle": stats.lognorm(s=0.4, scale=2.3),
    "span": stats.lognorm(s=0.6, scale=1.3),
    "top": stats.beta(3, 1),
    "scatter": stats.halfnorm(scale=0.05),
    "place": stats.uniform(),
    "size": stats.halfnorm(scale=1.5),
}
OTHER = PRIORS | {"span": stats.lognorm(s=0.6, scale=2.6), "size": stats.halfnorm(scale=0.5)}
DIRECTIONS = {"smooth": 0, "steeper": 1, "flatter": -1}
BEND = 0.02
CENTRES, NU, FROM_PRIOR, LEAST, LAST = 200, 6.0, 0.05, 400, 6


def likelihood(
    link: str, tokens: int, direction: int, data: dict[str, Any], priors: dict[str, Any]
) -> tuple[Callable[[Any], Any], int]:
    """Log likelihood of points that are standard normal beforehand, and how many parameters they have."""
    names = [*("middle", "span", "top", "scatter"), *(("place", "size") if direction else ())]
    loss, hits, items = data["loss"], data["hits"], data["items"]
    low, high = np.sort(loss)[[3, -4]]
    anchor = np.average(loss, weights=hits + 1e-6 * items)

    def of(points: Any) -> Any:
        value = {name: priors[name].ppf(ndtr(at))[:, None] for name, at in zip(names, points.T, strict=True)}
        seen = loss[None, :]
        if direction:
            at, gain = low + (high - low) * value["place"], np.expm1(direction * value["size"])
            summed = [x - gain * BEND * np.logaddexp(0, (at - x) / BEND) for x in (seen, anchor)]
            slope = 1 + gain * (1 + np.tanh((at - anchor) / (2 * BEND))) / 2
            seen = anchor + (summed[0] - summed[1]) / slope
        far = (seen - value["middle"]) / value["span"]
        if link == "sigmoid":
            token = 1 / (1 + np.exp(np.clip(2 * np.log(9) * far, -700, 700)))
        else:
            token = -np.expm1(-np.log(2) * np.exp(np.clip(-np.log(np.log(0.1) / np.log(0.9)) * far, -700, 50)))
        accuracy, total = (
            np.clip(value["top"] * token**tokens, 1e-9, 1 - 1e-9),
            1 / (4 * (value["scatter"] ** 2 + 1e-8)),
        )
        found = betaln(hits + accuracy * total, items - hits + (1 - accuracy) * total)
        found = found - betaln(accuracy * total, (1 - accuracy) * total)
        found = found - betaln(hits + 1, items - hits + 1) - np.log(items + 1)
        return np.where(np.isnan(found), -np.inf, found).sum(axis=1)

    return of, len(names)


def by_hand(of: Callable[[Any], Any], dimensions: int, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Log evidence and its standard error."""

    def normal(z: Any) -> Any:
        return -(z**2).sum(axis=1) / 2 - dimensions / 2 * np.log(2 * np.pi)

    points = rng.standard_normal((draws, dimensions))
    drawn_from, power, rounds = normal(points), 0.0, []
    while len(rounds) < LAST:
        with np.errstate(all="ignore"):
            at_data = np.maximum(of(points), -1e300)
        prior = normal(points) - drawn_from
        power = _power(prior, at_data, power)
        log_weights = prior + power * at_data
        if power >= 1:
            rounds.append(float(logsumexp(log_weights) - np.log(draws)))
        weights = np.exp(log_weights - logsumexp(log_weights))
        centres = points[rng.choice(draws, CENTRES, p=weights)]
        spread = np.cov(points[rng.choice(draws, 5000, p=weights)].T) + 1e-9 * np.eye(dimensions)
        width = (4 / (dimensions + 2) / CENTRES) ** (1 / (dimensions + 4))
        root = np.linalg.cholesky(spread) * width
        steps = rng.standard_normal((draws, dimensions)) @ root.T / np.sqrt(rng.chisquare(NU, (draws, 1)) / NU)
        points = np.where(
            rng.uniform(size=(draws, 1)) < FROM_PRIOR,
            rng.standard_normal((draws, dimensions)),
            centres[rng.integers(CENTRES, size=draws)] + steps,
        )
        drawn_from = np.logaddexp(
            np.log(1 - FROM_PRIOR) + _mixture(points, centres, root), np.log(FROM_PRIOR) + normal(points)
        )
    each = np.exp(np.array(rounds) - max(rounds))
    return max(rounds) + float(np.log(each.mean())), float(each.std(ddof=1) / each.mean() / np.sqrt(LAST))


def _power(prior: Any, at_data: Any, so_far: float) -> float:
    """The largest power of the likelihood that leaves ``LEAST`` draws in effect."""

    def effective(power: float) -> float:
        weights = np.exp((prior + power * at_data) - (prior + power * at_data).max())
        return float(weights.sum() ** 2 / (weights @ weights))

    if so_far >= 1 or effective(1.0) > LEAST:
        return 1.0
    low, high = so_far, 1.0
    for _ in range(40):
        low, high = ((low + high) / 2, high) if effective((low + high) / 2) > LEAST else (low, (low + high) / 2)
    return low


def _mixture(points: Any, centres: Any, root: Any) -> Any:
    """Log density of a mixture of Student-t, all of one shape."""
    inverse, dimensions = np.linalg.inv(root), points.shape[1]
    constant = gammaln((NU + dimensions) / 2) - gammaln(NU / 2) - dimensions / 2 * np.log(NU * np.pi)
    constant -= np.log(np.diag(root)).sum() + np.log(len(centres))
    here, there = points @ inverse.T, centres @ inverse.T
    apart = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * here @ there.T
    found = constant - (NU + dimensions) / 2 * np.log1p(np.maximum(apart, 0) / NU)
    return logsumexp(found, axis=1)


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--draws", type=int, default=20_000, help="by hand, of each round; default: %(default)s")
    given, load = arguments.parse_args(), load_average()
    rows = []
    for task in tasks(given.repeats):
        if task["tokens"] != 5 or task["steeper"] not in (1.0, 4.0) or (given.smoke and task["steeper"] == 1):
            continue
        for metric, tokens, outcomes in views(task):
            if metric != "exact match":
                continue
            links = ("sigmoid",) if given.smoke else ("sigmoid", "exponential")
            draws = 200 if given.smoke else 1000
            try:
                found = fs.emergence(outcomes, tokens, links, draws=draws, random_seed=task["seed"])
            except fs.ConvergenceError as error:
                found = error.fit
            for row in found.weights().to_dict("records"):
                rng = np.random.default_rng([task["seed"], len(rows)])
                many, direction = 4000 if given.smoke else given.draws, DIRECTIONS[row["kind"]]
                hand, other = (
                    by_hand(*likelihood(row["link"], tokens, direction, found.data, priors), many, rng)
                    for priors in (PRIORS, OTHER)
                )
                rows.append({"truth": task["truth"], **row, "hand": hand, "other": other})
                print(*rows[-1].values(), flush=True)
    print_table(
        ["truth", "link", "kind", "ours", "by hand", "off by", "by hand, other priors", "probability"],
        [
            [
                *(str(row[name]) for name in ("truth", "link", "kind")),
                f"{row['log_evidence']:.2f} ± {row['log_evidence_se']:.2f}",
                f"{row['hand'][0]:.2f} ± {row['hand'][1]:.2f}",
                f"{row['log_evidence'] - row['hand'][0]:+.2f}",
                f"{row['other'][0]:.2f} ± {row['other'][1]:.2f}",
                f"{row['probability']:.3f}" + ("" if row["converged"] else ", disagree"),
            ]
            for row in rows
        ],
    )
    off = {name: np.array([row["log_evidence"] - row[name][0] for row in rows]) for name in ("hand", "other")}
    sure = np.array([row["converged"] for row in rows])
    for name, told in (("hand", "by hand"), ("other", "by hand with other priors, which must be off")):
        found = off[name][sure]
        print(
            f"\nOurs less {told}, of the {sure.sum()} on which runs of the sampler agree: mean {found.mean():+.2f}, "
            f"root mean square {np.sqrt((found**2).mean()):.2f}, largest {abs(found).max():.2f} nats."
        )
    conclude(__file__, given, load, {"evidence": rows})


if __name__ == "__main__":
    main()
