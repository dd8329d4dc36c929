"""Check that the workers of jobs.yaml exist and that their parameters fit.

Runs in its own process, because importing a module may print, exit, hang or crash. The
questions are one JSON list on stdin. The answers are JSON lines: `{"begin": 3}` before
question 3 is checked, so that the caller knows which one failed;
`{"key", "text", "hint"}` for each problem; `{"end": true}`. A question with `"describe"`
is also answered with `{"described": true, "fields": [...]}`, what the worker takes; null:
any mapping. Standard library only, like `loader.py`.
"""

import difflib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from workers import loader
from workers.bootstrap import die_with_parent
from workers.describe import describe
from workers.params import ParamsError, parse
from workers.text import readable


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a job's worker; key is `worker`, `with` or `with.name`."""

    key: str
    text: str
    hint: str = ""


def check(worker: str, params_json: str) -> list[Finding]:
    """Return the problems of one worker and its parameters."""
    try:
        found = loader.find(worker)
    except loader.EntryNotFoundError as error:
        word = "worker" if ":" in worker else "built-in worker"
        return [Finding("worker", f'no {word} "{worker}": {error}', _nearest(worker))]
    # Imported code may raise anything, including SystemExit; report all of it.
    except BaseException as error:
        module = worker.partition(":")[0]
        return [Finding("worker", f"import {module}: {_words(error)}")]
    if found.params is None:
        return []
    try:
        parse(found.params, json.loads(params_json))
    except ParamsError as error:
        return [
            Finding(f"with.{bad.key}" if bad.key else "with", bad.text, bad.hint)
            for bad in error.problems
        ]
    except BaseException as error:  # as above: the checks of Params are code, too
        return [Finding("with", _words(error))]
    return []


def main() -> None:
    """Answer the questions on stdin, then exit."""
    die_with_parent(os.getppid())
    questions = json.load(sys.stdin)
    # Imported code may print; only this descriptor leads to the caller.
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for number, question in enumerate(questions):
        _print_answer(answers, {"begin": number})
        _enter(question)
        for finding in check(question["worker"], question["params_json"]):
            fields = {"key": finding.key, "text": finding.text, "hint": finding.hint}
            _print_answer(answers, fields)
        if question.get("describe"):
            _describe(answers, question["worker"])
    _print_answer(answers, {"end": True})
    # Do not wait for threads and exit hooks of imported code.
    os._exit(0)


def _describe(descriptor: int, worker: str) -> None:
    """Say what the worker takes; nothing if that cannot be read."""
    try:
        params = loader.find(worker).params
        fields = None if params is None else [asdict(field) for field in describe(params)]
    except BaseException:  # imported code may raise anything; `check` has reported it
        return
    _print_answer(descriptor, {"described": True, "fields": fields})


def _enter(question: dict[str, str]) -> None:
    """Change to the job's working directory, from which its modules are imported."""
    if ":" not in question["worker"]:
        return
    cwd = question["cwd"]
    if cwd not in sys.path:
        sys.path.insert(0, cwd)
    try:
        os.chdir(cwd)
    except OSError:
        return  # the run reports a missing folder


def _print_answer(descriptor: int, answer: Mapping[str, object]) -> None:
    rest = memoryview(json.dumps(_readable(answer)).encode() + b"\n")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _readable(value: object) -> object:
    """Return a JSON value whose texts can be encoded."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, Mapping):
        return {readable(str(key)): _readable(item) for key, item in value.items()}
    return value


def _nearest(worker: str) -> str:
    if ":" in worker:
        return ""
    near = difflib.get_close_matches(worker, loader.built_in(), 1, 0.5)
    return f'did you mean "{near[0]}"?' if near else ""


def _words(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
