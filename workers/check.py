"""Are the workers of jobs.yaml there, and do their parameters fit?

Runs in a process of its own, since importing a module may print, exit, hang
or crash. Questions come as one JSON list on stdin; answers go out as JSON
lines: `{"begin": 3}` before question 3 is looked at, so that the asker knows
whom to blame; `{"key", "text", "hint"}` for each problem of it; `{"end": true}`.
Standard library only, as `entry.py`.
"""

import difflib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from workers import entry
from workers.child import die_with
from workers.params import BadParams, parse
from workers.text import readable


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a job's worker; key is `worker`, `with` or `with.name`."""

    key: str
    text: str
    hint: str = ""


def check(worker: str, params_json: str) -> list[Finding]:
    """What is wrong with one worker and its parameters."""
    try:
        found = entry.find(worker)
    except entry.NoEntry as error:
        word = "worker" if ":" in worker else "built-in worker"
        return [Finding("worker", f'no {word} "{worker}": {error}', _nearest(worker))]
    # Imported code may raise anything, SystemExit too; all of it is an answer.
    except BaseException as error:
        module = worker.partition(":")[0]
        return [Finding("worker", f"import {module}: {_words(error)}")]
    if found.params is None:
        return []
    try:
        parse(found.params, json.loads(params_json))
    except BadParams as error:
        return [
            Finding(f"with.{bad.key}" if bad.key else "with", bad.text, bad.hint)
            for bad in error.problems
        ]
    except BaseException as error:  # as above: Params may check themselves in code
        return [Finding("with", _words(error))]
    return []


def main() -> None:
    """Answer the questions on stdin; the process ends here."""
    die_with(os.getppid())
    questions = json.load(sys.stdin)
    # What is imported may print; only this descriptor leads to the asker.
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for number, question in enumerate(questions):
        _say(answers, {"begin": number})
        _enter(question)
        for finding in check(question["worker"], question["params_json"]):
            fields = {"key": finding.key, "text": finding.text, "hint": finding.hint}
            _say(answers, fields)
    _say(answers, {"end": True})
    # Threads and exit hooks of what was imported are not waited for.
    os._exit(0)


def _enter(question: dict[str, str]) -> None:
    """Stand where the job will stand; its own modules are found from there."""
    if ":" not in question["worker"]:
        return
    cwd = question["cwd"]
    if cwd not in sys.path:
        sys.path.insert(0, cwd)
    try:
        os.chdir(cwd)
    except OSError:
        return  # whether a folder exists is for the run to find


def _say(descriptor: int, answer: Mapping[str, object]) -> None:
    said = {key: readable(v) if isinstance(v, str) else v for key, v in answer.items()}
    os.write(descriptor, json.dumps(said).encode() + b"\n")


def _nearest(worker: str) -> str:
    if ":" in worker:
        return ""
    near = difflib.get_close_matches(worker, entry.built_in(), 1, 0.5)
    return f'did you mean "{near[0]}"?' if near else ""


def _words(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
