"""docs/writing-a-worker.md: its files are written to a folder, checked and run."""

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.doc_pages import blocks, typed

PAGE = "docs/writing-a-worker.md"


def test_the_worker_of_the_guide_runs_as_the_guide_says():
    (module,), (jobs,) = blocks(PAGE, "python"), blocks(PAGE, "yaml")
    with Sandbox(jobs) as sandbox:
        (sandbox.root / "etl").mkdir()
        (sandbox.root / "etl" / "nightly.py").write_text(module)
        (sandbox.root / "incoming").mkdir()
        for name, lines in (("one.txt", 2), ("two.txt", 3), ("three.csv", 9)):
            (sandbox.root / "incoming" / name).write_text("a line\n" * lines)

        alone, served = blocks(PAGE, "sh")
        printed = typed(sandbox, [alone])
        with supervised(sandbox):
            printed += typed(sandbox, [served])
            newest = sandbox.json("history", "load")["runs"][0]

    assert "would load one.txt, two.txt" in printed
    assert newest["state"] == "success"
    assert newest["result"] == {"files": 2, "lines": 5}


def test_the_guides_worker_names_a_wrong_parameter_before_it_runs():
    (module,), (jobs,) = blocks(PAGE, "python"), blocks(PAGE, "yaml")
    with Sandbox(jobs.replace("source: incoming", "sauce: incoming")) as sandbox:
        (sandbox.root / "etl").mkdir()
        (sandbox.root / "etl" / "nightly.py").write_text(module)

        checked = sandbox.ask("check")

    assert checked.returncode == 2
    assert "jobs.load.with.sauce" in checked.stdout
    assert 'did you mean "source"?' in checked.stdout
