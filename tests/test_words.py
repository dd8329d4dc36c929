"""Words test: retired words of earlier names stay out of code and documentation.

The plain term stands beside each word. Words with a meaning of their own elsewhere
(`nobody` is a user of Unix) are not listed.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RETIRED = {
    "herald": "notifier",
    "courier": "alert sender",
    "errand": "internal job",
    "journey": "batch",
    "nurse": "fork server",
    "nursery": "fork server",
    "desk": "bridge",
    "tenant": "held run",
    "twin": "table pair",
    "purse": "budget",
    "wish": "forced verdict, option",
    "luck": "random seed",
    "bury": "reap",
    "buried": "reaped",
    "mend": "fix, correct",
    "mends": "fixes",
    "mended": "fixed",
    "told": "reported, sent, shown",
    "heard": "events, messages",
    "hears": "reads",
    "somebody": "name it",
    "whoever": "name it",
    "witness": "observer",
    "trouble": "error, problem",
    "stranger": "unknown key",
    "strangers": "unknown keys",
}
SOURCES = sorted(
    path
    for pattern in ("supervisor/**/*.py", "workers/**/*.py", "workers/**/*.sql", "docs/**/*.md",
                    "supervisor/**/*.sql", "*.md", "contrib/*", "jobs.yaml", "benchmarks/*.py",
                    "tests/**/*.py")
    for path in ROOT.glob(pattern)
    if path.is_file() and path != Path(__file__)
)  # fmt: skip
# Words without a meaning in the project; in texts they may be used literally.
NOT_IN_NAMES = ("house", "night", "nights", "storm", "weather")
_NAMES = re.compile(r"^ *(?:async )?(?:def|class) (\w+)", re.MULTILINE)
_WORDS = re.compile(r"(?<![A-Za-z])(" + "|".join(RETIRED) + r")(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_word_is_used(path: Path) -> None:
    found = {
        f"{number}: {match[0]} (write: {RETIRED[match[0].lower()]})"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in _WORDS.finditer(line)
    }

    assert not found


def test_no_retired_word_is_in_a_name() -> None:
    code = {path: path.read_text() for path in SOURCES if path.suffix == ".py"}
    names = {(path, path.stem) for path in code if path.name != "test_house.py"}
    names |= {(path, name) for path, text in code.items() for name in _NAMES.findall(text)}

    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in names
        if set(name.lower().split("_")) & set(NOT_IN_NAMES)
    }

    assert found == set()
