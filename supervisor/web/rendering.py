"""Templates: jinja2 with autoescape, and the filters that they use.

Text from outside reaches a template through `shown`, which escapes control characters and
direction overrides; jinja2 escapes HTML. Only `ansi.py` and `marks.py` make markup.
"""

import shlex
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from supervisor.core.escape import escape_control
from supervisor.core.state import RESERVED
from supervisor.web.marks import ago, full, mark, state
from supervisor.web.statics import STYLE, static_file
from supervisor.web.views.hosts import host_of
from workers.text import readable
from workers.units import format_duration, format_size

# What a template writes where its content follows; no text of a page holds it.
_CONTENT_FOLLOWS = Markup("\0")
_TEMPLATES = Path(__file__).parent / "templates"


class Renderer:
    """The templates, for one base path."""

    def __init__(self, base: str) -> None:
        self._base = base
        # Undefined names are errors: a page must not lose a cause silently.
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
        )
        self._env.filters |= FILTERS
        self._env.globals |= {"url": self.url, "job_url": self.job_url, "static": self.static}
        self._env.globals |= {"mark": mark, "state": state, "ago": ago, "full": full}
        self._env.globals["host_of"] = host_of
        self._env.globals |= {"style": Markup(STYLE), "content_follows": _CONTENT_FOLLOWS}

    def load(self) -> None:
        """Compile all templates, so that the first visitor does not wait for it."""
        for name in ("jobs.html", *self._env.list_templates()):
            self._env.get_template(name)

    def page(self, template: str, **values: Any) -> Iterator[str]:
        """Yield a page in two pieces: what stands before its content, and the rest.

        The live part is one piece.
        """
        pieces: list[str] = []
        for piece in self._env.get_template(template).generate(**values):
            if piece == _CONTENT_FOLLOWS:
                yield "".join(pieces)
                pieces.clear()
            else:
                pieces.append(piece)
        yield "".join(pieces)

    def bare(self, template: str, **values: Any) -> str:
        """Return a page for a browser without a session."""
        return self._env.get_template(template).render(**values)

    def url(self, *parts: object, **query: object) -> str:
        """Return the address of `/part/part?query`; a value of None or "" is left out."""
        path = "/".join(map(_part, parts))
        given = {name: readable(str(v)) for name, v in query.items() if v not in (None, "")}
        return f"{self._base}/{path}" + (f"?{urlencode(given)}" if given else "")

    def job_url(self, job: str) -> str:
        """Return the address of a job; of its runs if it is none of jobs.yaml."""
        return self.url("runs", job=job) if job in RESERVED else self.url("jobs", job)

    def static(self, name: str) -> str:
        """Return the address of a static file, which changes with its content."""
        return f"{self._base}/static/{name}?{static_file(name).version}"


@lru_cache(1024, typed=True)
def _part(part: object) -> str:
    return quote(readable(str(part)), safe="")


def shown(text: object) -> str:
    """Return a text from outside on one line, without characters that could mislead."""
    return escape_control(readable(str(text)))


def lines(text: object) -> str:
    """Return a text of several lines, each as `shown` gives it."""
    return "\n".join(map(shown, readable(str(text)).splitlines()))


def took(seconds: float | None) -> str:
    """Return a duration such as `14m30s`, or a dash."""
    if seconds is None:
        return "–"
    return format_duration(round(seconds) if seconds >= 60 else seconds)


def number(value: object) -> str:
    """Return a number with thin groups of three digits, or any other value as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value)
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,.0f}"


def quoted(text: object) -> str:
    """Return a text from outside as one word of a shell."""
    return shown(shlex.quote(readable(str(text))))


FILTERS: dict[str, Callable[..., Any]] = {
    "shown": shown,
    "lines": lines,
    "took": took,
    "size": format_size,
    "number": number,
    "quoted": quoted,
}
