"""Calling the command line in this process, and what any page that it prints must be."""

import re

from typer.testing import CliRunner

from forescale import cli

COMMANDS = [command.name for command in cli.app.registered_commands]
ESCAPE = "\x1b"


def call(*words, code=0):
    """Call the command line in this process; the result, once its exit code is as expected."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words], prog_name="forescale")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def refused(*words):
    """The one line of a refusal."""
    result = call(*words, code=2)
    assert result.stdout == ""
    assert re.fullmatch(r"forescale: .+\n", result.stderr), result.stderr
    return result.stderr


def check_page(text):
    assert text.strip()
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"…|\.\.\.$", text, re.MULTILINE)
    assert ESCAPE not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
