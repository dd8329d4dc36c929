"""Finding a worker by its name, and the error if there is none."""

import pytest

from workers import loader
from workers.validate import Finding, check


def test_a_built_in_worker_is_found_with_its_params() -> None:
    found = loader.find("sync.missing_sets")

    assert found.params is not None
    assert callable(found.function)


def test_the_built_in_workers_are_those_that_jobs_are_made_of() -> None:
    assert set(loader.built_in()) == {
        "backup.drill",
        "backup.run",
        "cleanup.run",
        "health.run",
        "integrity.run",
        "replication.run",
        "rotation.run",
        "sync.missing_cards",
        "sync.missing_sets",
    }


@pytest.mark.parametrize(
    ("worker", "hint"),
    [
        ("sync.mising_sets", 'did you mean "sync.missing_sets"?'),
        ("snyc.missing_cards", 'did you mean "sync.missing_cards"?'),
        ("zzz.qqq", ""),
    ],
)
def test_an_unknown_built_in_worker_has_the_nearest_as_hint(worker: str, hint: str) -> None:
    (finding,) = check(worker, "{}")

    assert (finding.key, finding.hint) == ("worker", hint)


def test_an_unknown_parameter_is_found_under_its_own_key() -> None:
    findings = check("sync.missing_sets", '{"catalogue": "a", "databse": "b"}')

    assert Finding("with.databse", "unknown parameter", 'did you mean "database"?') in findings
