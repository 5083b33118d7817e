"""The documentation: what a public function has to say, and pages that are whole and need no network."""

import doctest
import inspect
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))  # its pages are made by modules beside them
from card_pages import KINDS, table, words  # noqa: E402
from generate import page_of, public  # noqa: E402

from forescale.cli import app  # noqa: E402

FUNCTIONS = {name: thing for name, thing in public().items() if inspect.isfunction(thing)}
HELP = typer.main.get_command(app).commands
#: Commands as pages of the documentation write them, and helps; those of the README are run.
WRITTEN = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")] + [command.help for command in HELP.values()]
COMMANDS = sorted(
    set(re.findall(r"(?:`|Example: |^)forescale ([a-z-]+ [^`\n]+)", "\n".join(WRITTEN), flags=re.MULTILINE))
)
#: Of numpydoc's checks: no summary, a parameter not told, one told that there is not, returns not told, no example.
CHECKS = {"GL08", "SS01", "PR01", "PR02", "RT01", "EX01"}
#: They read, list, declare, draw, or put a law's own formula to use: the source is that of what they are given.
NO_METHOD = {"forecast", "published", "law", "literature_exponents", "report"}
NO_METHOD |= {name for name in FUNCTIONS if name.startswith(("load_", "list_", "plots."))}
OUTSIDE = re.compile(r"^\s*(?:https?:|ftp:|//)")


def sections(name):
    """What numpydoc does not ask for: errors, of what takes something and is no figure, and the source of a method."""
    refuses = inspect.signature(FUNCTIONS[name]).parameters and not name.startswith("plots.")
    return ({"Raises"} if refuses else set()) | ({"References"} if name not in NO_METHOD else set())


def lacks(function, sections):
    """What a docstring lacks, by numpydoc's names."""
    doc = get_doc_object(function)
    found = {code for code, _ in validate(doc)["errors"]} & CHECKS | {name for name in sections if not doc[name]}
    return found if doctest.DocTestParser().get_examples(function.__doc__) else found | {"a line to run"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_told_whole(name):
    assert not lacks(FUNCTIONS[name], sections(name))


def test_a_function_that_says_too_little_is_seen():
    def short(runs):
        """Do something.

        Parameters
        ----------
        tables : list
            Another name.
        """
        return runs

    missing = {"PR01", "PR02", "RT01", "EX01", "Raises", "References", "a line to run"}
    assert lacks(short, {"Raises", "References"}) == missing


def test_names_without_a_method_are_names():
    assert {name for name in NO_METHOD if name != "report"} <= set(FUNCTIONS)


@pytest.mark.parametrize(
    "text", ["a_b * c_d [x](y) `z` <b>& $1$ | ^2 # !", "1. not a list", "- nor this", r"\alpha ~ {py:obj}`x` :::"]
)
def test_text_of_cards_is_text(text):
    shown = MarkdownIt().enable("table").render(table(("", "said"), [("x", words(text))]))
    reader = Reader()
    reader.feed(shown)
    assert text in " ".join(reader.text.split())
    assert set(reader.tags) == {"table", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    """What a page says, and what a browser fetches to show it."""

    def __init__(self):
        super().__init__()
        self.text, self.tags, self.fetched = "", [], []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.append(tag)
        self.fetched += [told[key] for key in ("src", "srcset", "poster", "data") if told.get(key)]
        if tag == "link" and told.get("rel") not in (
            "canonical",
            "author",
            "license",
            "next",
            "prev",
            "index",
            "search",
        ):
            self.fetched.append(told["href"])

    def handle_data(self, data):
        self.text += data


def outside(page):
    """Addresses outside the site that a page fetches when it is opened."""
    reader = Reader()
    reader.feed(page)
    return [address for address in reader.fetched if OUTSIDE.match(address)]


def test_a_request_to_the_outside_is_seen():
    assert outside('<script src="https://cdn.example/x.js"></script><img src="//a.example/b.png"><a href="https://c">')
    assert not outside('<script src="_static/x.js"></script><a href="https://c.example">a link is not fetched</a>')


def parse(command):
    """Read a command's words as the command line does, and do nothing."""
    name, *words = shlex.split(command)
    HELP[name].make_context(name, words)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page_is_one(command):
    parse(command)


def test_a_command_that_is_none_is_seen():
    assert len(COMMANDS) > 40
    with pytest.raises(KeyError, match="plann"):
        parse("plann fit.nc")
    with pytest.raises(Exception, match="No such option"):
        parse("plan fit.nc --budget 1e24 --bugdet 1e24")


@pytest.mark.slow
def test_site(tmp_path):
    """A strict build, with notebooks as they are: every page is there, and opens from disk without a network."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-D", "nb_execution_mode=off"]
    done = subprocess.run([*command, "-d", tmp_path / "trees", DOCS, tmp_path / "html"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "html"
    pages = [page_of(name, thing) for name, thing in public().items()]
    pages += [f"cards/{folder}/{name}" for folder, (_, names, *_) in KINDS.items() for name in names()]
    assert not [page for page in pages if not (site / f"generated/{page}.html").is_file()]
    fetched = {page.name: outside(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    assert not {name: found for name, found in fetched.items() if found}
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:@import|url\()[\s\"']*(?:https?:)?//[^)\"']*", styles)
