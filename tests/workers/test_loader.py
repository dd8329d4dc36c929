"""A worker's function is recognised by its parameters, for any kind of callable."""

import functools
import inspect
import sys
import types
from dataclasses import dataclass

import pytest

from workers import loader


@dataclass(frozen=True)
class Params:
    a: int = 0


@dataclass(frozen=True)
class Other:
    b: int = 0


def plain(params, report):
    return None


def annotated(params: Other, report: object) -> None:
    return None


def in_words(params: "Other", report: "object") -> None:
    return None


def half_known(params: "Nowhere", report):  # noqa: F821
    return None


def with_default(params, report=None):
    return None


def keyword_only(params, report, *, extra=None):
    return None


def needs_a_keyword(params, report, *, extra):
    return None


def many(*given):
    return None


def with_words(params, report, **words):
    return None


def three(params, report, third):
    return None


def three_at_most(params, report, third=3):
    return None


def one(params):
    return None


@functools.wraps(three)
def wrapper(params, report):
    return None


def signed(params, report):
    return None


signed.__signature__ = inspect.signature(one)


class Callable:
    def __call__(self, params, report):
        return None

    def method(self, params, report):
        return None


called = Callable()
method = called.method
part = functools.partial(three, third=3)

SHAPES = [
    name
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") in (__name__, None)
]


@pytest.mark.parametrize("name", [*SHAPES, "called", "part"])
def test_every_callable_is_judged_as_its_signature_says(name):
    try:
        inspect.signature(globals()[name]).bind(None, None)
    except TypeError:
        with pytest.raises(loader.EntryNotFoundError, match="does not take"):
            loader.find(f"{__name__}:{name}")
    else:
        assert loader.find(f"{__name__}:{name}").function == globals()[name]


@pytest.mark.parametrize(
    ("name", "params"),
    [("plain", Params), ("annotated", Other), ("in_words", Other), ("half_known", Params)],
)
def test_the_class_of_the_first_argument_is_its_annotation_or_the_modules_params(name, params):
    assert loader.find(f"{__name__}:{name}").params is params


def test_a_built_in_worker_has_the_two_names(monkeypatch):
    module = types.ModuleType("workers.made")
    module.run, module.helper = plain, lambda one, two: None
    monkeypatch.setitem(sys.modules, "workers.made", module)

    assert loader.find("made.run").function is plain
    with pytest.raises(loader.EntryNotFoundError, match=r"\(params, report\)"):
        loader.find("made.helper")
