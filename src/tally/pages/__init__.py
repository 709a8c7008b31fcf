"""What people see: the four pages, the error page, and their static files."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from tally.amount import format_amount
from tally.pages import chart, text
from tally.pages.chart import Chart, Mark, Point, extremes

__all__ = ["Chart", "Mark", "PageName", "Point", "StaticFile", "extremes", "render", "static_files"]

PageName = Literal["home", "adder", "display", "reset", "error"]

_FOLDER: Final = Path(__file__).parent
_CONTENT_TYPES: Final = MappingProxyType(
    {
        "tally.css": "text/css; charset=utf-8",
        "history.css": "text/css; charset=utf-8",
        "chart.js": "text/javascript; charset=utf-8",
        "forms.js": "text/javascript; charset=utf-8",
        "live.js": "text/javascript; charset=utf-8",
        "morph.js": "text/javascript; charset=utf-8",
        "times.js": "text/javascript; charset=utf-8",
        "tally.js": "text/javascript; charset=utf-8",
        "favicon.svg": "image/svg+xml; charset=utf-8",
    }
)
_VERSION_DIGITS: Final = 16


class StaticFile(NamedTuple):
    """A file as it is sent; `etag` carries its quotes, `version` is the same without them."""

    body: bytes
    gzipped: bytes
    content_type: str
    etag: str

    @property
    def version(self) -> str:
        """What `?v=` says in links, so that an answer to such a link never goes stale."""
        return self.etag.strip('"')


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Read the static files once, by name."""
    return MappingProxyType({name: _read_static(name) for name in _CONTENT_TYPES})


def load() -> None:
    """Read all that pages are made of, so that no file is needed later."""
    static_files()
    for name in _environment().list_templates():
        _environment().get_template(name)


def render(
    name: PageName,
    *,
    path: str = "/",
    **context: Any,  # noqa: ANN401 - each page has its own
) -> bytes:
    """Render a page, that is answered for a path, to UTF-8.

    Its links are relative, so that they also lead on where a proxy serves Tally below a prefix.
    Raises `ValueError` for a name that is no page, `jinja2.UndefinedError` where the context
    lacks something the page shows.
    """
    if name not in get_args(PageName):
        raise ValueError(f"there is no page named {name!r}")
    template = _environment().get_template(f"{name}.html")
    root = "../" * (path.count("/") - 1) or "./"
    return template.render(context, page=name, root=root).encode()


def _read_static(name: str) -> StaticFile:
    body = (_FOLDER / "static" / name).read_bytes()
    version = hashlib.sha256(body).hexdigest()[:_VERSION_DIGITS]
    gzipped = gzip.compress(body, mtime=0)
    return StaticFile(body, gzipped, _CONTENT_TYPES[name], f'"{version}"')


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        amount=text.amount,
        minus=text.minus,
        places=text.places,
        size=text.size,
        time=text.time,
        duration=text.duration,
        age=text.age,
        units=format_amount,
        opposite=text.opposite,
    )
    environment.globals.update(asset=_asset, draw=chart.svg, version=_version)
    return environment


@pass_context
def _asset(context: Context, name: str) -> str:
    return f"{context['root']}{context['static'].removeprefix('/')}{name}?v={_version(name)}"


def _version(name: str) -> str:
    return static_files()[name].version
