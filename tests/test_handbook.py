"""README.md and the handbook: links resolve, every page is listed, promises have tests."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*ROOT.glob("*.md"), *PAGES]
MOST_WORDS = 1200


def links(text: str) -> list[str]:
    """Return the targets of all links and pictures that do not lead to another host."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found = re.findall(r"\]\(([^)\s]+)\)", prose)
    found += re.findall(r'\b(?:src|srcset)="([^"]+)"', prose)
    return [target for target in found if not re.match(r"(https?|mailto):", target)]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as forges and mkdocs make them."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    titles = (title.lower() for title in re.findall(r"^#+ (.+)$", prose, flags=re.M))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_page_can_be_reached_from_an_index(page: Path) -> None:
    indexes = (DOCS / "index.md", DOCS / "design" / "README.md")
    reached = {
        (index.parent / target.partition("#")[0]).resolve()
        for index in indexes
        for target in links(index.read_text())
    }

    assert page in {*reached, *indexes}
    assert str(page.relative_to(DOCS)) in (ROOT / "mkdocs.yml").read_text()


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= MOST_WORDS


def test_every_promise_names_a_test() -> None:
    text = (DOCS / "promises.md").read_text()
    rows = [row for row in re.findall(r"^\| (.+) \|$", text, flags=re.M) if "](" in row]
    named = {(DOCS / target).resolve() for row in rows for target in links(row)}
    asserting = {path for path in named if re.search(r"\bassert\b|\bfail ", path.read_text())}

    assert len(rows) > 30
    assert {path.relative_to(ROOT).parts[0] for path in named} == {"tests", "scripts"}
    assert {path.name for path in named - asserting} <= {"escape_attempts.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_with_commands_is_typed_by_a_test(page: Path) -> None:
    if re.search(r"^```(sh|bash)$", page.read_text(), flags=re.M) is None:
        pytest.skip("it has no commands")
    tests = [*ROOT.glob("tests/acceptance/*.py"), *ROOT.glob("tests/*/test_*.py")]
    assert any(f'{page.name}"' in test.read_text() for test in tests)


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed"
)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]

    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    fetched = re.findall(
        r'<(?:script|link)[^>]+"https?://[^"]+', (tmp_path / "index.html").read_text()
    )
    assert fetched == []


def test_what_is_published_leads_to_the_home_of_the_project(tmp_path: Path) -> None:
    for name in ("README.md", "setup.cfg"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    command = [
        ROOT / "scripts" / "set-project-url",
        tmp_path,
        "https://forge.example/n/nightshift",
    ]

    subprocess.run([sys.executable, *command], check=True)

    readme = (tmp_path / "README.md").read_text()
    assert links(readme) == []
    assert "(https://forge.example/n/nightshift/blob/main/docs/index.md)" in readme
    assert (
        "Changelog = https://forge.example/n/nightshift/blob"
        in (tmp_path / "setup.cfg").read_text()
    )
