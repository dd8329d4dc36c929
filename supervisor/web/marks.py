"""Markup that a page has hundreds of: marks, states and times.

Functions, not macros of a template: a macro takes five times as long.
"""

from datetime import datetime
from functools import lru_cache

from markupsafe import Markup, escape

from supervisor.web.views.states import SHAPES
from supervisor.web.views.times import Times

_MARK = Markup(
    '<svg class="mark s-{}" viewBox="0 0 12 12" aria-hidden="true"><path d="{}"/></svg>'
)
_STATE = Markup('<span class="state s-{}">{}{}</span>')


@lru_cache(256)
def mark(state: str) -> Markup:
    """Return the shape of a state."""
    path = SHAPES.get(state, SHAPES["none"])
    return _MARK.format(state, path)


@lru_cache(256)
def state(name: str) -> Markup:
    """Return a state as its shape and its word."""
    word = "not run yet" if name == "none" else name
    return _STATE.format(name, mark(name), word)


def ago(times: Times, at: datetime | None) -> Markup:
    """Return an instant as its distance from now; the whole time is its title."""
    if at is None:
        return Markup("–")
    machine, full, words = times.iso(at), escape(times.full(at)), times.ago(at)
    return Markup(f'<time datetime="{machine}" title="{full}">{words}</time>')


def full(times: Times, at: datetime | None) -> Markup:
    """Return an instant as it is written in full."""
    if at is None:
        return Markup("–")
    words = escape(times.full(at))
    return Markup(f'<time datetime="{times.iso(at)}">{words}</time>')
