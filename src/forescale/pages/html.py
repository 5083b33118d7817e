"""A report as one HTML file that opens from disk and asks nothing of any network.

Everything that is not in the template is text, and escaped by it; the script and the style are allowed by their hashes,
and nothing else is: a page cannot do what its Content-Security-Policy does not name, whatever stands in a table.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from forescale.pages.contents import Contents

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
    "base-uri 'none'; form-action 'none'"
)


def to_html(contents: Contents) -> str:
    """Write a report as a page."""
    style, script = (_read(name).strip() for name in ("style.css", "control.js"))
    policy = _POLICY.format(style=_sha256(style), script=_sha256(script))
    shelf = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    shelf.filters |= {"kind": lambda part: type(part).__name__, "data_uri": _data_uri, "as_json": _as_json}
    page = shelf.get_template("page.html")
    return page.render(contents=contents, policy=policy, style=Markup(style), script=Markup(script))


def _read(name: str) -> str:
    return resources.files("forescale.pages").joinpath(name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _as_json(data: Any) -> Markup:
    """JSON that ends no script element, whatever text is in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
