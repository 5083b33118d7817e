"""The report: it says what the verbs say, escapes all that others wrote, and is the same each time."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from commandline import call, refused

import forescale as fs
import forescale.commands.report  # the command, wherever the command line lists it
from forescale.checking.backtest import Backtest
from forescale.checking.scoring import score
from forescale.errors import DataError, FileError, ModelError
from forescale.pages import answer, beforehand, choices, decisions, disputes, doubts, evidence, planned, redo, report
from forescale.pages.contents import Bullets, Code, Contents, Control, Figure, Paragraph, Section, Table
from forescale.pages.html import _as_json, to_html
from forescale.pages.made import ask
from forescale.pages.markdown import to_markdown
from forescale.units import format_quantity, parse_quantity

BUDGETS = ["1e22", "5.76e23"]
NASTY = '<script>alert("1")</script> | *x* & [y](javascript:z)'
NAMES = ["answer", "data", "model", "diagnostics", "forecasts", "allocation", "plan", "next"]
NAMES += ["serving", "target", "returns", "gain", "comparison", "contradiction"]
NAMES += ["sensitivity", "changes", "backtest", "beforehand", "unknown", "redo"]
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Elements in order, each with its attributes; whether all are closed; and all text that is no script or style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def section_of(made, section):
    """A section of a report, by name; or a section itself."""
    if isinstance(made, Section):
        return made
    (found,) = (each for each in made.contents.sections if each.name == section)
    return found


def part(made, section, kind, place=0):
    """One of the parts of a kind in a section."""
    return [each for each in section_of(made, section).parts if isinstance(each, kind)][place]


def said(made, section):
    """All sentences of a section."""
    found = section_of(made, section)
    texts = [each.text for each in found.parts if isinstance(each, Paragraph)]
    return " ".join([*texts, *(item for each in found.parts if isinstance(each, Bullets) for item in each.items)])


def plain(text):
    return text.replace("\u00a0", " ")


@pytest.fixture(scope="module")
def made(hoffmann_fit):
    return report(hoffmann_fit, BUDGETS, plans={NASTY: ("70B", "1.4T")})


@pytest.fixture(scope="module")
def page(made):
    return Page(made.html())


@pytest.fixture(scope="module")
def printed():
    return report(fs.published("hoffmann2022"), "5.76e23", compare_with=fs.published("besiroglu2024"))


class TestAnswer:
    def test_is_what_allocate_and_forecast_say(self, made, hoffmann_fit):
        split = fs.allocate(hoffmann_fit, BUDGETS)
        table = split.table(0.9).set_index(["flops", "quantity"])
        lines = part(made, "answer", Bullets).items
        assert len(lines) == 2
        for line, flops in zip(lines, BUDGETS, strict=True):
            for quantity, unit in (("n_params", "parameters"), ("n_tokens", "tokens")):
                row = table.loc[(float(flops), quantity)]
                middle, low, high = (format_quantity(row[end]) for end in ("median", "lower", "upper"))
                assert f"{middle} {unit}, 90 % {low} to {high}" in plain(line)
            n_params = float(split.draws["n_params"].sel(budget=float(flops)).median())
            sizes = {"n_params": n_params, "n_tokens": float(flops) / 6 / n_params}
            mean = fs.forecast(hoffmann_fit, **sizes, random_seed=0).table(0.9, "mean").iloc[0]
            told = f"{mean['median']:.3f} nats per token, 90 % {mean['lower']:.3f} to {mean['upper']:.3f}; a new run"
            assert told in plain(line)

    def test_another_probability_is_another_band(self, hoffmann_fit, made):
        narrow = answer.answer(ask(hoffmann_fit, BUDGETS, prob=0.5))
        assert "50 % equal-tailed" in plain(said(narrow, "answer"))
        lines = [part(each, "answer", Bullets).items[0] for each in (narrow, made)]
        low, high = ([parse_quantity(end) for end in re.findall(r"[\d.]+B", line)[:3]] for line in lines)
        assert low[0] == high[0]
        assert high[1] < low[1] < low[2] < high[2]

    def test_budgets_are_by_default_of_the_size_of_the_runs(self, hoffmann_fit):
        most = 6 * np.max(hoffmann_fit.observations.column("n_params") * hoffmann_fit.observations.column("n_tokens"))
        lines = part(answer.answer(ask(hoffmann_fit)), "answer", Bullets).items
        assert [line.split()[1] for line in lines] == [format_quantity(float(f"{f * most:.1e}")) for f in (1, 10, 100)]

    def test_a_fit_that_did_not_converge_says_so_first(self, hoffmann_fit, made):
        assert not [each for each in made.contents.sections[0].parts if getattr(each, "urgent", False)]
        bad = replace(hoffmann_fit, diagnostics=replace(hoffmann_fit.diagnostics, divergences=7))
        first = answer.answer(ask(bad, BUDGETS)).parts[0]
        assert first.urgent
        assert "7 divergent transitions" in first.text
        assert "did NOT converge" in said(evidence.diagnostics(ask(bad)), "diagnostics")


class TestControl:
    def test_says_at_the_budgets_of_the_report_what_the_tables_say(self, made, hoffmann_fit):
        data = part(made, "answer", Control).data
        table = fs.allocate(hoffmann_fit, BUDGETS).table(0.9).set_index(["flops", "quantity"])
        level = 1 + data["probs"].index(0.9)
        for flops in map(float, BUDGETS):
            at = data["budgets"].index(flops)
            for place, quantity in enumerate(["n_params", "n_tokens", "tokens_per_param"]):
                levels = data["quantities"][place]["levels"]
                row = table.loc[(flops, quantity)]
                read = [levels[each][at] for each in (0, level, level + len(data["probs"]))]
                np.testing.assert_allclose(read, row[["median", "lower", "upper"]].to_numpy(float), rtol=1e-5)
        rows = part(made, "forecasts", Table).rows
        for place, quantity in ((-2, "mean"), (-1, "run")):
            levels = data["quantities"][place]["levels"]
            for row, flops in zip(rows, map(float, BUDGETS), strict=False):
                at = data["budgets"].index(flops)
                middle, low, high = (levels[each][at] for each in (0, level, level + len(data["probs"])))
                assert row[place] == f"{middle:.3f} [{low:.3f}, {high:.3f}]", quantity

    def test_errs_between_budgets_by_no_more_than_it_says(self, made, hoffmann_fit):
        control = part(made, "answer", Control)
        stated = float(re.search(r"there by at most ([\d.e-]+)\s%", control.note)[1]) / 100
        assert stated < 0.005
        budgets = np.array(control.data["budgets"])
        halfway = np.sqrt(budgets[1:] * budgets[:-1])[::9]
        tails = [0.5, *((1 - prob) / 2 for prob in control.data["probs"])]
        right = fs.allocate(hoffmann_fit, halfway).draws["n_params"].quantile(tails, ("chain", "draw")).to_numpy()
        for levels, wanted in zip(control.data["quantities"][0]["levels"], right, strict=False):
            read = np.exp(np.interp(np.log(halfway), np.log(budgets), np.log(levels)))
            assert np.abs(read / wanted - 1).max() < 1.1 * stated + 1e-5

    def test_json_ends_no_script(self):
        assert "<" not in _as_json({"a": "</script><!-- &"})


class TestDecisions:
    def test_what_is_nearly_best_and_what_is_served_are_what_the_verbs_say(self, made, hoffmann_fit):
        sure = fs.near_optimal(hoffmann_fit, BUDGETS).sure(0.9)
        spans = [row[3] for row in part(made, "allocation", Table, 1).rows]
        ends = [map(format_quantity, row) for row in sure[["smallest", "largest"]].to_numpy()]
        assert spans == [" to ".join(row) for row in ends]
        trained = float(fs.allocate(hoffmann_fit, BUDGETS[-1]).draws["n_tokens"].median())
        served = fs.serve(hoffmann_fit, [trained, 10 * trained, 100 * trained], compute=BUDGETS[-1]).table(0.9)
        sizes = served[served["quantity"] == "n_params"]
        shown = [row[2].partition(" ")[0] for row in part(made, "serving", Table).rows]
        assert shown == list(map(format_quantity, sizes["median"]))

    def test_the_plan_and_the_runs_to_do_next_are_those_of_plan(self, made, hoffmann_fit):
        found = fs.plan(hoffmann_fit, BUDGETS[-1], random_seed=0)
        assert [plain(item) for item in part(made, "plan", Bullets).items] == found.risks(0.9)
        assert part(made, "plan", Figure).name == "plan"
        assert [row[0] for row in part(made, "next", Table).rows] == found.first.runs["run"].head(8).tolist()
        assert format_quantity(found.first.batch["total_flops"].iloc[-1]) in said(made, "next")

    def test_what_losses_take_is_what_compute_to_says(self, made, hoffmann_fit):
        reached = fs.allocate(hoffmann_fit, BUDGETS).draws["loss"].median(("chain", "draw")).to_numpy()
        losses = [round(float(loss), 3) for loss in (*reached, 0.98 * reached[-1])]
        rows = part(made, "target", Table).rows
        assert [row[:2] for row in rows] == [(f"{loss:.3f}", kind) for loss in losses for kind in ("mean", "run")]
        sure = part(made, "target", Table, 1).rows
        for place, kind in enumerate(("mean", "run")):
            takes = fs.compute_to(hoffmann_fit, losses, kind=kind)
            middles = takes.table(0.9).query("quantity == 'compute'")["median"]
            assert [row[2].partition(" ")[0] for row in rows[place::2]] == list(map(format_quantity, middles))
            shown = [float(cell) for row in sure[place::2] for cell in row[2:]]
            assert shown == pytest.approx(takes.probability(BUDGETS)["probability"].tolist(), abs=0.0051)
        first = takes.conditions(BUDGETS[-1]).query("loss == @losses[1]").iloc[0]
        assert part(made, "target", Table, 2).rows[0][0] == first["parameter"] == "run above the curve, %"

    def test_losses_and_a_demand_that_somebody_has_in_mind(self, hoffmann_fit):
        question = ask(hoffmann_fit, BUDGETS, loss=[2.0, 1.5], demand="2T")
        told = choices.target(question)
        assert [row[0] for row in part(told, "target", Table).rows] == ["2.000"] * 2 + ["1.500"] * 2
        assert part(told, "target", Table).rows[2][2:5] == ("never",) * 3
        assert [row[0] for row in part(choices.serving(question), "serving", Table).rows] == ["2T"]
        again = part(redo.redo(question), "redo", Code).text
        assert "loss=[2, 1.5]," in again
        assert "demand=[2e12]," in again

    def test_budgets_below_all_runs_have_a_report_too(self, hoffmann_fit):
        question = ask(hoffmann_fit, "1e14")
        assert "pay for no run" in said(planned.plan(question), "plan")
        told = choices.target(question)
        assert {row[1] for row in part(told, "target", Table).rows} == {"mean"}
        assert "Nothing is said of a new run: most runs of" in said(told, "target")

    def test_what_more_is_worth_is_what_returns_says(self, made, hoffmann_fit):
        gains = fs.returns(hoffmann_fit, compute=BUDGETS[-1:]).table(0.9).query("quantity == 'gain'")["median"]
        rows = part(made, "returns", Table).rows
        assert [float(row[1].partition(" ")[0]) for row in rows] == pytest.approx(gains.tolist(), rel=5e-3)
        until = fs.returns_until(hoffmann_fit, [0.1, 0.03, 0.01]).table(0.9)
        ends = [row[1].partition(" ")[0] for row in part(made, "returns", Table, 1).rows]
        assert ends == list(map(format_quantity, until["median"]))

    def test_what_a_recipe_is_worth_needs_a_second_one(self, made, hoffmann_fit):
        assert "fs.compute_gain(old, new" in part(made, "gain", Code).text
        old = fs.published("besiroglu2024")
        told = choices.gain(ask(hoffmann_fit, BUDGETS, compare_with=old))
        medians = fs.compute_gain(old, hoffmann_fit, BUDGETS).table(0.9).query("quantity == 'gain'")["median"]
        shown = [float(row[1].partition(" ")[0]) for row in part(told, "gain", Table).rows]
        assert shown == pytest.approx(medians.tolist(), rel=5e-3)
        same = choices.gain(ask(hoffmann_fit, BUDGETS, compare_with=replace(hoffmann_fit, seed=2)))
        assert "so of one recipe" in said(same, "gain")


class TestPage:
    def test_sections_in_order_and_headings_under_them(self, made, page):
        assert [section.name for section in made.contents.sections] == NAMES
        headings = [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
        assert headings == ["h1"] + ["h2"] * len(NAMES)
        assert page.open == []
        assert [link["href"] for link in page.all("a")][1:] == [f"#{name}" for name in NAMES]

    def test_is_accessible(self, page):
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("img")) >= 3
        assert all(len(image["alt"]) > 40 for image in page.all("img"))
        assert all(header["scope"] in ("row", "col") for header in page.all("th"))
        labelled = {label["for"] for label in page.all("label")}
        assert {each["id"] for tag in ("input", "select") for each in page.all(tag)} == labelled
        identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identities) == len(set(identities))
        assert set(page.all("nav")[0]) == {"aria-label"}

    def test_asks_nothing_of_any_network(self, made, page):
        for tag, attributes in page.elements:
            for name in ("src", "href"):
                assert attributes.get(name, "data:").startswith(("data:", "#")), (tag, attributes[name][:80])
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "@import" not in made.html()
        assert "url(" not in made.html()

    def test_policy_allows_this_script_and_style_and_nothing_else(self, made, page):
        (policy,) = (meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'; img-src data:; ")
        assert "unsafe" not in policy
        for tag in ("style", "script"):
            text = re.search(rf"<{tag}>(.*?)</{tag}>", made.html(), re.DOTALL)[1]
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy

    def test_text_of_others_is_text(self, page):
        assert NASTY in page.text
        assert len(page.all("script")) == 2  # the data and the control
        assert not any("javascript" in str(attributes.get("href", "")) for _, attributes in page.elements)

    def test_text_of_others_is_text_everywhere(self):
        parts = (
            Paragraph(NASTY),
            Bullets((NASTY,)),
            Table(NASTY, (NASTY, NASTY), ((NASTY, NASTY),)),
            Figure("figure", NASTY, NASTY, "<svg/>"),
            Code(NASTY),
            Control(NASTY, {"name": NASTY}),
        )
        found = Page(to_html(Contents(NASTY, "2026-01-01", NASTY, (Section("name", NASTY, parts),))))
        assert len(found.all("script")) == 2
        assert found.open == []
        assert len([text for text in found.text if NASTY in text]) == 15

    def test_is_small(self, made):
        assert len(made.html()) < 2_000_000


class TestSameEachTime:
    def test_to_the_byte_but_for_the_date(self, made, hoffmann_fit):
        again = ask(hoffmann_fit, BUDGETS, plans={NASTY: ("70B", "1.4T")})
        for write in (answer.answer, decisions.forecasts, planned.plan, choices.target):  # which draw runs, and figures
            section = write(again)
            assert section == section_of(made, section.name)
        later = type(made)(replace(made.contents, made="2001-02-03"))
        assert later.html() != made.html()
        assert later.html().replace("2001-02-03", made.contents.made) == made.html()
        other = answer.answer(ask(hoffmann_fit, BUDGETS, random_seed=4))
        assert part(other, "answer", Bullets) != part(made, "answer", Bullets)

    def test_the_call_that_it_prints_makes_it_again(self, monkeypatch, tmp_path):
        monkeypatch.setattr(fs, "report", report)
        monkeypatch.chdir(tmp_path)
        source = fs.published("hoffmann2022")
        first = report(source, "5.76e23", plans={"mine": ("70B", "1.4T")}, prob=0.8)
        exec(part(first, "redo", Code).text, {})
        assert (tmp_path / "report.html").read_text(encoding="utf-8") == first.html()

    def test_a_fit_says_what_it_was_made_from(self, made, hoffmann_fit):
        table = dict(part(made, "redo", Table).rows)
        assert table["sha256 of its columns"] == hoffmann_fit.observations.sha256
        assert table["seed of the fit"] == "1"
        assert "pymc" in table["versions at the fit"]
        code, card = (part(made, "redo", Code, place).text for place in (0, 1))
        assert 'runs = fs.load_dataset("hoffmann2022")' in code
        assert 'model = "chinchilla"' in code
        assert fs.Model.from_toml(card) == hoffmann_fit.model

    def test_a_table_and_a_card_of_ones_own_are_not_those_of_the_package(self, hoffmann_fit):
        runs = hoffmann_fit.observations.where(lambda table: table["n_params"] > 1e8)
        mine = replace(
            hoffmann_fit,
            observations=runs,
            model=hoffmann_fit.model.with_priors(alpha=fs.Prior("beta", alpha=2, beta=4)),
        )
        code = part(redo.redo(ask(mine, "1e22", cost="6ND+attention")), "redo", Code).text
        assert 'cost="6ND+attention"' in code.replace("'", '"')
        assert 'fs.Observations.read("runs.csv")' in code
        assert 'model = "model.toml"' in code


class TestSources:
    def test_of_a_point_there_is_no_band(self, printed):
        line = part(printed, "answer", Bullets).items[0]
        assert line == "At 5.76e23 FLOPs: 32.2B parameters; 2.98T tokens; 1.931 nats per token."
        best = fs.published("hoffmann2022").law({"n_params": 32.2e9, "n_tokens": 2.98e12}, printed_values())
        assert best == pytest.approx(1.931, abs=0.0005)
        assert "no usable uncertainty" in said(printed, "unknown")
        assert part(printed, "answer", Control).data["probs"] == []
        assert "There is no table of runs" in said(printed, "data")
        assert "nothing to check" in said(printed, "diagnostics")
        assert "a plan begins with runs, and hoffmann2022 has none" in said(printed, "plan")
        assert part(printed, "next", Code).text == "fs.plan(fit, budget)"
        takes = parse_quantity(part(printed, "target", Table).rows[0][2])  # of that loss, to three decimals
        assert takes == pytest.approx(5.76e23, rel=0.01)

    def test_a_second_estimate_is_priced(self, printed):
        rows = part(printed, "comparison", Table).rows
        assert "optimum of besiroglu2024" in [row[0] for row in rows]
        pairs = part(printed, "comparison", Table, -1).rows
        assert [row[:2] for row in pairs] == [("hoffmann2022", "besiroglu2024"), ("besiroglu2024", "hoffmann2022")]

    def test_a_comparison_is_told_with_its_scores_and_notes(self, hoffmann_fit):
        both = fs.published("besiroglu2024"), fs.published("kaplan2020")
        found = fs.compare(*both, runs=fs.load_dataset("hoffmann2022"), compute="1e24")
        told = disputes.comparison(ask(both[0], "1e24", compare_with=found))
        scores = part(told, "comparison", Table, 1)
        assert scores.rows[0][0] == found.scores.index[0]
        assert scores.rows[0][1] == f"{found.scores['rms_percent'].iloc[0]:.2f}"
        assert "nan" not in str(scores.rows)
        assert found.notes[-1] in said(told, "comparison")
        mixed = replace(found, sources={"chinchilla": hoffmann_fit, "besiroglu2024": both[0]})
        assert ask(hoffmann_fit, "1e24", compare_with=mixed).second is both[0]

    def test_prices_are_those_of_regret(self, made, hoffmann_fit):
        rows = {row[0]: row for row in part(made, "comparison", Table).rows}
        price = fs.regret(hoffmann_fit, "5.76e23", like=fs.published("kaplan2020")).table(0.9).set_index("quantity")
        waste = price.loc["wasted_compute"]
        told = f"{waste['median']:.2g} [{waste['lower']:.2g}, {waste['upper']:.2g}]"
        assert rows["optimum of kaplan2020"][-1] == told

    def test_the_contradiction_point_is_kaplan_et_als(self, made):
        assert part(made, "contradiction", Table).rows[0][1] == "1.81e24 [1.25e23, 1.12e25]"

    def test_a_forecast_is_frozen_by_the_call_that_it_prints_and_told_once_scored(self, hoffmann_fit, tmp_path):
        def call(question):
            return next(each.text for each in beforehand.beforehand(question).parts if isinstance(each, Code))

        question = ask(hoffmann_fit, "1e22")
        text = call(question).replace("forecast.toml", str(tmp_path / "forecast.toml"))
        exec(text, {"fs": fs, "source": hoffmann_fit})  # the line that users copy
        scores = fs.score_frozen(tmp_path / "forecast.toml", 2.31)
        told = beforehand.beforehand(ask(hoffmann_fit, "1e22", frozen=scores))
        held = scores.coverage().set_index("band").loc[0.9]
        row = next(row for row in part(told, "beforehand", Table).rows if row[0] == "90\u00a0%")
        assert row[1] == f"{held['hits']} of 1"
        assert part(told, "beforehand", Figure).name == "frozen"
        assert 'kind="mean"' in call(ask(fs.published("besiroglu2024"), "1e22"))
        with pytest.raises(DataError, match="what score_frozen"):
            ask(hoffmann_fit, frozen=0.9)

    def test_a_backtest_is_told_and_otherwise_the_call_that_makes_one(self, made, hoffmann_fit):
        assert "fs.backtest(" in part(made, "backtest", Code).text
        question = ask(hoffmann_fit, "1e22", backtest=_backtest())
        told = doubts.backtest(question)
        row = part(told, "backtest", Table).rows[0]
        totals = _backtest().table(None)
        assert row[:2] == ("coupled", "30")
        assert row[4] == f"{totals['covered_90'].iloc[0]:.2f}"
        assert "None of these runs" in said(told, "backtest")
        assert "no backtest" not in said(doubts.unknown(question), "unknown")
        assert part(told, "backtest", Figure).name == "coverage"


class TestMarkdown:
    def test_has_the_same_sections_and_whole_tables(self, made):
        text = made.markdown()
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [each.heading for each in made.contents.sections]
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1, block

    def test_text_of_others_is_text(self, made):
        text = re.sub(r"```.*?```", "", made.markdown(), flags=re.DOTALL)
        assert r"\<script\>alert(" in text
        assert not re.search(r"(?<!\\)<script", text)
        assert not re.search(r"(?<!\\)\[y", text)

    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("n_params of _x_", r"n_params of \_x\_"),
            ("1. not a list", r"1\. not a list"),
            ("- neither", r"\- neither"),
            ("1.5 nats", "1.5 nats"),
            ("# no\nheading", r"\# no heading"),
        ],
    )
    def test_what_begins_like_markup_is_none(self, text, written):
        contents = Contents("t", "2026-01-01", "b", (Section("s", "S", (Paragraph(text),)),))
        assert to_markdown(contents).splitlines()[-1] == written

    def test_a_fence_is_longer_than_those_inside(self):
        contents = Contents("t", "2026-01-01", "b", (Section("s", "S", (Code("a\n````\nb"),)),))
        assert to_markdown(contents).endswith("`````\na\n````\nb\n`````\n")


class TestSave:
    def test_html_is_one_file_and_markdown_has_its_figures_beside_it(self, printed, tmp_path):
        assert printed.save(tmp_path / "a.html").read_text(encoding="utf-8") == printed.html()
        assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
        text = printed.save(tmp_path / "a.md").read_text(encoding="utf-8")
        links = re.findall(r"\]\(<(a-figures/.*?\.svg)>\)", text)
        assert links
        assert sorted(links) == sorted(f"a-figures/{file.name}" for file in (tmp_path / "a-figures").iterdir())
        assert (tmp_path / links[0]).read_text(encoding="utf-8").startswith("<svg")

    def test_other_suffixes_and_missing_folders_are_refused(self, printed, tmp_path):
        with pytest.raises(FileError, match=r"\.html or \.md"):
            printed.save(tmp_path / "a.pdf")
        with pytest.raises(FileError, match="cannot be written"):
            printed.save(tmp_path / "none" / "a.html")
        assert not list(tmp_path.iterdir())


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"compute": "-1"}, DataError, "above zero"),
            ({"plans": {"big": "70B"}}, DataError, "'big' is '70B'"),
            ({"plans": {"big": ("70B", "many")}}, DataError, "plan 'big', entry 1"),
            ({"prob": 1}, DataError, "prob"),
            ({"cost": "free"}, DataError, "no cost model"),
            ({"backtest": 1}, DataError, "backtest="),
            ({"compare_with": "kaplan2020"}, DataError, "compare_with="),
            ({"compare_with": fs.published("kaplan2020_n")}, ModelError, "cannot split compute"),
        ],
    )
    def test_say_what_was_wanted(self, arguments, error, message):
        with pytest.raises(error, match=message):
            ask(fs.published("besiroglu2024"), **{"compute": "1e22", **arguments})

    def test_only_estimates_with_a_split_have_a_report(self):
        with pytest.raises(DataError, match="not of str"):
            report("fit.nc")
        with pytest.raises(ModelError, match="cannot split compute"):
            report(fs.published("kaplan2020_n"))


@pytest.mark.usefixtures("eighty_columns")
class TestCommand:
    def test_writes_what_the_library_writes(self, tmp_path):
        out = tmp_path / "page.html"
        words = ("--compute", "1e22,5.76e23", "--plan", "mine=70B,1.4T", "--beside", "kaplan2020")
        shown = call("report", "hoffmann2022", "--out", out, *words).stdout
        assert "opens in any browser" in shown
        plans, beside = {"mine": ("70B", "1.4T")}, fs.published("kaplan2020")
        wanted = report(fs.published("hoffmann2022"), BUDGETS, plans=plans, compare_with=beside)
        assert out.read_text(encoding="utf-8") == wanted.html()
        assert "exists" in refused("report", "hoffmann2022", "--out", out)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["besiroglu2024", "--plan", "mine=70B"], "NAME=N,D"),
            (["besiroglu2024", "--out", "page.pdf"], "html or .md"),
            (["besiroglu2024", "--backtest"], "needs a fit"),
            (["besiroglu2024", "--results", "scores.jsonl"], "goes with --backtest"),
            (["nothing"], "is no file"),
        ],
    )
    def test_says_what_it_wants(self, words, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert message in " ".join(call("report", *words, code=2).stderr.replace("│", " ").split())
        assert not list(tmp_path.iterdir())


def printed_values():
    return dict(fs.published("hoffmann2022").values)


def _backtest():
    """Thirty held-out runs beyond one cut, forecast rightly."""
    rng = np.random.default_rng(2)
    loss, draws = 2 * np.exp(0.02 * rng.standard_normal(30)), 2 * np.exp(0.02 * rng.standard_normal((500, 30)))
    told = {"table": "ladder", "model": "coupled", "cut": "5 runs", "size": "flops", "notes": "", "error": ""}
    points = pd.DataFrame(score(loss, draws)).assign(**told, run=np.arange(30).astype(str), loss=loss)
    return Backtest(points.assign(distance=rng.uniform(0, 2, 30)), "flops", 1)
