"""Whether `emergence` calls a break where there is one, and none where the metric alone makes a rise look sharp.

Tasks are simulated: 25 runs of losses 2.4 to 5.9 nats, answers of 1, 5 or 20 tokens, 500 items, a scatter of 0.01. A
token is on a smooth link (middle 2.6 to 4.0 nats, span 1.2 to 3.0, each task its own), or on one whose slope jumps by a
factor of 2, 4 or 8 below a loss between 2.7 and 3.2. Each task is seen in two metrics,

- exact match: the share of answers all of whose tokens are right, weighed with so many tokens;
- by token: the share of all tokens that is right, weighed with one (of jumps, those by 4);

and smooth tasks of five tokens also in a third, as those see them who ask of exact match whether it rises sharply: with
one token. Further smooth tasks are on the exponential link. Counted are verdicts: a break (probability 0.95 or more),
none (0.25 or less, what it was beforehand), neither; with 90 % intervals (Jeffreys) of the share of breaks. Both links
are weighed, and from the same draws what each link would say by itself, since one that is wrong may call for a break.

Run::

    python benchmarks/emergence.py --json emergence.json
    python benchmarks/emergence.py --smoke

What it showed: README.md beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table
from scipy.stats import beta

import forescale as fs
from forescale.accuracy.break_model import bent
from forescale.accuracy.emergence import LINKS
from forescale.accuracy.weighed_links import BEFOREHAND, SURE
from forescale.belief.link_model import draw_hits
from forescale.laws.links import get_link, powered

ITEMS, SCATTER = 500, 0.01
TOKENS, JUMPS = (1, 5, 20), (2.0, 4.0, 8.0)
TASKS = 6
VERDICTS = ("break", "open", "none", "refused")


def tasks(count: int) -> Iterator[dict[str, Any]]:
    """What each task is: its truth in words, link, tokens, factor of the slope, and seed."""
    for seed in range(count):
        for tokens in TOKENS:
            yield {"truth": "smooth", "link": "sigmoid", "tokens": tokens, "steeper": 1.0, "seed": seed}
        for steeper in JUMPS:
            yield {
                "truth": f"{steeper:g} times steeper",
                "link": "sigmoid",
                "tokens": 5,
                "steeper": steeper,
                "seed": seed,
            }
        yield {"truth": "smooth, another link", "link": "exponential", "tokens": 5, "steeper": 1.0, "seed": seed}


def views(task: dict[str, Any]) -> Iterator[tuple[str, int, fs.Outcomes]]:
    """The metrics of one task: what they are called, as of how many tokens they are weighed, and what runs score."""
    rng = np.random.default_rng([task["seed"], task["tokens"]])
    n = np.repeat([1e7, 4e7, 1.2e8, 4e8, 8e8], 5)
    d = np.tile([4.0, 10.0, 20.0, 50.0, 100.0], 5) * n
    loss = (1.8 + 480 / n**0.35 + 2000 / d**0.36) * np.exp(0.004 * rng.standard_normal(len(n)))
    values = {"middle": rng.uniform(2.6, 4.0), "span": rng.uniform(1.2, 3.0), "top": rng.uniform(0.85, 0.98)}
    values["floor_ratio"] = 1.0
    seen = bent(loss, rng.uniform(2.7, 3.2), np.log(task["steeper"]), anchor=6.0)
    for name, tokens, items in (("exact match", task["tokens"], ITEMS), ("by token", 1, ITEMS * task["tokens"])):
        if name == "by token" and (
            task["tokens"] == 1 or task["steeper"] not in (1.0, 4.0) or task["link"] != "sigmoid"
        ):
            continue
        centre = powered(get_link(task["link"]), tokens)(seen, values, 0.0)
        _, share = draw_hits(centre, np.array(SCATTER), np.array(float(items)), rng)
        table = pd.DataFrame({"loss": loss, "accuracy": share, "items": items, "chance": 0.0, "task": "made"})
        outcomes = fs.Outcomes.from_frame(table)
        yield name, tokens, outcomes
        if name == "exact match" and tokens == 5 and task["steeper"] == 1 and task["link"] == "sigmoid":
            yield "exact match, as of one token", 1, outcomes


def verdicts(made: list[dict[str, Any]], draws: int) -> pd.DataFrame:
    """A row for each task and metric."""
    rows = []
    for task in made:
        for name, tokens, outcomes in views(task):
            row = {**task, "metric": name, "best": outcomes.column("accuracy").max()}
            try:
                found = fs.emergence(outcomes, tokens, draws=draws, random_seed=task["seed"])
            except fs.ConvergenceError:
                rows.append({**row, "verdict": "refused", "probability": np.nan, "probability_se": np.nan})
                continue
            row |= {"probability": found.probability, "probability_se": found.probability_se}
            rows.append({**row, "verdict": verdict(found.probability), **by_itself(found)})
            print(*rows[-1].values(), flush=True)
    return pd.DataFrame(rows)


def verdict(probability: float) -> str:
    """In a word."""
    return "break" if probability >= SURE else "none" if probability <= BEFOREHAND else "open"


def by_itself(found: fs.Emergence) -> dict[str, Any]:
    """What each link has of the probability, and what it would say if it were the only one."""
    of_link = found.of_link
    alone = found.weights().query("kind == 'steeper'").set_index("link")["probability"]
    shares = {f"share_{link}": share for link, share in of_link.items()}
    return shares | {f"by_{link}": float(alone[link]) / of_link[link] for link in LINKS}


def alone(rows: pd.DataFrame) -> list[list[str]]:
    """Verdicts of each link by itself, a row for each kind of task and metric."""
    cells = []
    for (truth, tokens, metric), group in rows.groupby(["truth", "tokens", "metric"], sort=False):
        words = [group[f"by_{link}"].map(verdict).value_counts() for link in LINKS]
        cells.append([truth, str(tokens), metric])
        cells[-1] += [", ".join(str(many.get(word, 0)) for word in VERDICTS[:3]) for many in words]
    return cells


def main() -> None:
    arguments = parser(__doc__, repeats=TASKS)
    arguments.add_argument("--draws", type=int, default=1000, help="of each run of the sampler; default: %(default)s")
    given, load = arguments.parse_args(), load_average()
    few = [task for task in tasks(1) if task["steeper"] == 8]
    rows = verdicts(few, 200) if given.smoke else verdicts(list(tasks(given.repeats)), given.draws)
    cells = []
    for (truth, tokens, metric), group in rows.groupby(["truth", "tokens", "metric"], sort=False):
        many = group["verdict"].value_counts()
        found, told = many.get("break", 0), len(group) - many.get("refused", 0)
        low, high = beta.ppf([0.05, 0.95], found + 0.5, told - found + 0.5)
        counts = [str(many.get(word, 0)) for word in VERDICTS]
        cells.append([truth, str(tokens), metric, *counts, f"{found / max(told, 1):.2f} [{low:.2f}, {high:.2f}]"])
        cells[-1] += [f"{group['probability'].median():.3f}"]
    head = ["truth", "tokens", "metric", *VERDICTS, "share of breaks [90 %]", "median probability"]
    print_table(head, cells)
    print("\nWhat each link would say by itself, of the same tasks:\n")
    told = rows[rows["verdict"] != "refused"]
    print_table(["truth", "tokens", "metric", *(f"{link}: {', '.join(VERDICTS[:3])}" for link in LINKS)], alone(told))
    wide = rows.pivot_table(index=["truth", "tokens", "seed"], columns="metric", values="verdict", aggfunc="first")
    both = wide.reindex(columns=["exact match", "by token"]).dropna()
    one, other = both["exact match"], both["by token"]
    against = ((one == "break") & (other == "none")) | ((one == "none") & (other == "break"))
    print(
        f"\nOf {len(both)} tasks of several tokens, both metrics have the same verdict in {(one == other).sum()}, and "
        f"opposite ones (a break, and none) in {against.sum()}."
    )
    conclude(__file__, given, load, {"verdicts": rows.to_dict("records")})


if __name__ == "__main__":
    main()
