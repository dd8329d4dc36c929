"""Invalid jobs.yaml: every mistake, with its place and message."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import config
from supervisor.config.parse_context import MOST_KEPT
from supervisor.core.config_model import Problem

YAML = Path("/srv/etl/jobs.yaml")


def problems(text: str | bytes) -> tuple[Problem, ...]:
    content = text if isinstance(text, bytes) else text.encode()
    parsed = config.parse(content, YAML, {})
    assert parsed.config is None
    return parsed.problems


def lines(text: str | bytes) -> list[str]:
    return [config.format_problem(problem, "jobs.yaml") for problem in problems(text)]


def of_job(keys: str) -> list[str]:
    found = lines(f"jobs:\n  one:\n    command: [x]\n    {keys}\n")
    return [line.removeprefix("jobs.yaml:") for line in found]


def test_a_problem_names_line_key_and_what_was_expected() -> None:
    found = lines("jobs:\n  backup:\n    command: x\n    timeout: 5 parsecs\n")

    assert found == [
        'jobs.yaml:4:14: jobs.backup.timeout: expected a duration such as "5m", got "5 parsecs"'
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("timeout: -5", "expected a duration"),
        ("timeout: 0", 'expected a duration above 0, got "0" (write "none" for no limit)'),
        ("timeout: [5m]", "expected a duration"),
        ('timeout: ""', "expected a duration"),
        ("timeout: " + "9" * 400, "expected a duration"),
        ("timout: 5m", 'unknown key (did you mean "timeout"?)'),
        ("catch_up_window: none", "expected a duration"),
        ("retries: 1e9", 'expected a whole number from 0 to 1000, got "1e9"'),
        ("retries: 99999999999999999999999", "expected a whole number"),
        ("retries: 1_000", "expected a whole number"),
        ("retries: ٣", "expected a whole number"),
        ("retry_backoff: 0.5", "expected a number from 1 to 100"),
        ("enabled: yes", 'expected true or false, got "yes"'),
        ("overlap: wait", "expected skip, queue or replace"),
        ("exclusive: Not A Name", 'for example "not-a-name"'),
        ("timezone: europe/berlin", 'did you mean "Europe/Berlin"?'),
        ("timezone: ../etc/passwd", "expected an IANA name"),
        ("heartbeat: ftp://x", "expected a URL that begins with"),
        ('cron: "61 * * * *"', 'bad minute "61": expected 0-59'),
        ('cron: "* * * *"', "expected 5 fields"),
        ('cron: "0 0 30 2 *"', "30"),
        ('cron: "0 0 31 4,6 *"', "31"),
        ('cron: "1-² * * * *"', 'bad minute "1-²"'),
        ('cron: "0 0 * ²-3 *"', 'bad month "²-3"'),
        ('cron: "0 0 * * mon-²"', 'bad day of week "mon-²"'),
        ('cron: "0 0 * * ſun"', 'bad day of week "ſun"'),
        ('cron: "１ * * * *"', 'bad minute "１"'),
        ('cron: "*/0 * * * *"', "a step is a number of at least 1"),
        ('cron: "*/-5 * * * *"', "a step is a number of at least 1"),
        ('cron: "1,,2 * * * *"', "an item of the list is empty"),
        ('cron: "0~30 * * * *"', "no time is drawn at random: write a number"),
        ('cron: "0 0 15W * *"', "W stands only in LW"),
        ('cron: "0 0 L-3 * *"', "no day is counted from it"),
        ('cron: "0 0 * * L"', 'write the last of which day: "5L"'),
        (
            "cron: TZ=Asia/Tokyo 0 5 * * *",
            'write "0 5 * * *" and timezone: Asia/Tokyo',
        ),
        ("cron: CRON_TZ=UTC @daily", 'write "@daily" and timezone: UTC'),
        ("timeout: ٣m", "expected a duration"),
        ('cron: "@reboot"', "write run_on_startup: true instead"),
        ('cron: "@fortnightly"', "expected a cron expression or one of @hourly"),
        ("cron:", "expected a cron expression"),
        ("env: {1A: x}", "expected a name of letters, digits and _"),
        ("env: {A: [x]}", "expected text, got a list"),
        ("env: {NIGHTSHIFT_RUN: x}", "is set by the service"),
        ('env: {A: "a\\0b"}', "a NUL character"),
        ("env: {A: ${X}}", 'a value with "${" must stand in quotes'),
        ("limits: {memory: 1GiB}", "unknown key"),
        (f"limits: {{open_files: {'9' * 23}}}", "a whole number of at most 18 digits"),
        (f"nice: -{'9' * 5000}", "expected a whole number from -20 to 19"),
        ("limits: {address_space: lots}", "expected a size"),
        ("success_exit_status: 256", "expected an exit status from 0 to 255"),
        ("success_exit_status: []", "expected an exit status"),
        ("nice: 20", "expected a whole number from -20 to 19"),
        ("shell: /bin/bash", 'command: ["/bin/bash", "-c", "..."] chooses the shell'),
        ("with: {}", "is for a worker; this job has a command"),
        ("worker: a.b", "expected one of worker and command"),
        ("deps: [two]", 'unknown job "two"'),
        ("deps: [ones]", 'did you mean "one"?'),
        ("deps: one", "a job cannot depend on itself"),
        ("command: [y]", "duplicate key, first on line 3"),
        ("description: !foo x", "expected a value without a tag"),
        ("env: !!set {A: }", "expected a mapping without a tag"),
        ("limits: !limits {open_files: 64}", 'without a tag, got "!limits"'),
        ("deps: !!set [one]", "expected a list without a tag"),
        ('cron: !!python/tuple ["@daily"]', "expected a list without a tag"),
        ("<<: !x {nice: 5}", "expected a mapping to merge"),
        ("description: ${X}", "${X} is not set"),
        ("description: ${X", '"${" without its "}"'),
        ("description: ${X:?no}", "expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("description: ${file:/does/not/exist}", "no such file"),
        ("description: ${file:/dev/zero}", "is not a regular file"),
        ("description: ${file:/}", "is a folder"),
        ("description: ${file:/:-x}", "is a folder"),
        ("description: ${file::-x}", "expected ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("? [a]\n    : b", "expected a key, got a list"),
        ("<<: 5", "expected a mapping to merge"),
        ("<<: {nice: 5}\n    <<: {nice: 6}", "duplicate key, first on line"),
    ],
)
def test_a_mistake_in_a_job_is_named(keys: str, said: str) -> None:
    found = of_job(keys)

    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("command: []", "got nothing"),
        ('command: ""', "got nothing"),
        ("command:", "got nothing"),
        ('command: [""]', "got nothing"),
        ("command: {a: b}", "got a mapping"),
        ("command: !!python/object/apply:os.system [id]", "expected a list without a tag"),
        ("worker: a.b\n    with: !x {b: c}", "expected a mapping without a tag"),
        ("worker: a.b\n    with: {b: !x [c]}", "expected a list without a tag"),
        ("worker: a.b\n    with: {b: !x {c: d}}", "expected a mapping without a tag"),
        ("command: [[a], b]", "expected text, got a list"),
        ('command: ["a\\0"]', "a NUL character"),
        ('command: "a\\0"', "a NUL character"),
        ("worker: backup", "module.function"),
        ("worker: a.b.c", 'did you mean "a.b:c"?'),
        ("worker: a.b\n    python: /usr/bin/python3", "is for a worker of your own"),
        ("description: x", "expected worker or command, got neither"),
        ("worker: a.b\n    with: &a [*a]", "expected a mapping"),
        ("worker: a.b\n    with: &a {b: *a}", "is nested too deeply"),
    ],
)
def test_a_mistake_in_what_a_job_runs_is_named(command: str, said: str) -> None:
    found = lines(f"jobs:\n  one:\n    {command}\n")

    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize("name", ["Backup", "1st", "größe", "a b", "a" * 64, "", "-a", "a/b"])
def test_a_bad_name_of_a_job_is_a_problem(name: str) -> None:
    found = lines(f'jobs: {{"{name}": {{command: x}}}}')

    assert len(found) == 1
    assert "expected a name of at most 63" in found[0]


def test_the_name_restore_is_the_services_own() -> None:
    assert "keeps for itself" in lines("jobs: {restore: {command: x}}")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: no jobs: the file is empty"),
        ("# only a comment\n", "1:1: no jobs"),
        ("jobs:\n", "1:1: jobs: no jobs"),
        ("jobs: {}\n", "no jobs"),
        ("timezone: UTC\n", "no jobs"),
        ("jobs: [a]\n", "expected a mapping, got a list"),
        ("jobs: 5\n", "expected a mapping of names to jobs"),
        ("- a\n", "expected a mapping, got a list"),
        ("hello", "expected a mapping"),
        ("jobs: {a: }", "expected a mapping of keys of a job, got nothing"),
        ("jobs: {a: {command: x}}\nmax_concurent: 3", 'did you mean "max_concurrent"?'),
        ("jobs: {a: {command: x}}\nmax_concurrent: 0", "expected a whole number from 1"),
        ("jobs: {a: {command: x}}\nmetrics: here", "expected an address"),
        ("jobs: {a: {command: x}}\nmetrics: 1.2.3.4:99999", "expected an address"),
        ("jobs: {a: {command: x}}\napi: {socket_mode: 0999}", "expected an octal mode"),
        ("jobs: {a: {command: x}}\ndefaults: {name: y}", "defaults.name: unknown key"),
        ("jobs: {a: {}}\ndefaults: {worker: x}", "defaults.worker: expected"),
        ("jobs: {a: {}}\ndefaults: {command: []}", "defaults.command: expected"),
        ("jobs: {a: {command: x}}\ndefaults: 5", "expected a mapping of keys of a job"),
        ("jobs:\n\ta: {command: x}\n", "2:1: a tab where YAML wants spaces"),
        ("jobs:\n  a:\n    command: x\n\tcron: y\n", "a tab where YAML wants spaces"),
        ("jobs:\n  a:\n    cron: * * * * *\n", '3:11: an alias "*" without a name'),
        ("jobs:\n  a:\n    cron: */5 * * * *\n", 'cron: "* * * * *"'),
        ("jobs: {a: {command: *nobody}}", "found undefined alias"),
        ("jobs: {a: {command: x}}\n---\nb: 1", "a second document begins"),
        ("jobs: {a: {command: 'x}}", "found unexpected end of stream"),
        ("jobs: {a: {command: x\x00}}", "the character '\\x00' may not stand in YAML"),
        (b"jobs:\n  caf\xe9: {}", "2:6: is not UTF-8: byte 0xe9"),
        (b"\xff\xfej\x00", "1:1: is not UTF-8"),
        ("&a [*a]", "expected a mapping, got a list"),
        ("jobs: {a: &a {command: x, <<: *a}}", "a mapping is merged into itself"),
    ],
)
def test_a_text_that_is_no_list_of_jobs_is_one_problem(text: str | bytes, said: str) -> None:
    found = lines(text)

    assert len(found) == 1, found
    assert said in found[0]


def test_a_circle_of_dependencies_is_named() -> None:
    found = lines(
        "jobs: {a: {command: x, deps: b}, b: {command: x, deps: [c]}, c: {command: x, deps: a}}"
    )

    assert found == ["jobs.yaml:1:30: jobs.a.deps: dependencies go in a circle: a -> b -> c -> a"]


def test_two_circles_are_both_named() -> None:
    one = "a: {command: x, deps: b}, b: {command: x, deps: a}"
    two = "c: {command: x, deps: d}, d: {command: x, deps: c}"

    found = lines(f"jobs: {{{one}, {two}}}")

    assert [line.partition("circle: ")[2] for line in found] == ["a -> b -> a", "c -> d -> c"]


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        "max_concurent: 3\njobs:\n"
        "  a: {command: x, deps: [z], timeout: soon}\n  b: {retries: many}"
    )

    assert [(problem.line, problem.path) for problem in found] == [
        (1, "max_concurent"),
        (3, "jobs.a.deps"),
        (3, "jobs.a.timeout"),
        (4, "jobs.b"),
        (4, "jobs.b.retries"),
    ]


def test_a_disabled_job_must_still_name_its_worker() -> None:
    found = lines("jobs: {a: {worker: '${X}', enabled: false}}")

    assert "${X} is not set" in found[0]
    assert "names nothing" in found[1]


def test_a_webhook_is_not_repeated_in_its_problem() -> None:
    found = lines("notify: {slack: hooks.example/T0/B0}\njobs: {a: {command: x}}")

    assert "T0" not in found[0]


def bomb_of_lists() -> str:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    return f"jobs: {{a: {{worker: a.b, with: {{l0: &l0 [lol], {', '.join(levels)}}}}}}}"


def bomb_of_merges() -> str:
    levels = [f"x{n}: &x{n}\n  <<: [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 30)]
    return "\n".join(["x0: &x0 {command: x}", *levels, "jobs:", "  a:", "    <<: *x29"])


def bomb_of_texts() -> str:
    long = "x" * 100_000
    items = ", ".join(["*t"] * 100_000)
    return f"jobs: {{a: {{worker: a.b, with: {{t: &t {long}, u: [{items}]}}}}}}"


@pytest.mark.parametrize(
    "text",
    [bomb_of_lists(), bomb_of_texts(), "[" * 100_000, "? " * 50_000, "- " * 50_000, "{a: " * 9000],
    ids=["lists", "texts", "brackets", "question marks", "dashes", "braces"],
)
def test_a_bomb_is_a_problem_and_no_hang(text: str) -> None:
    found = lines(text)

    # libyaml counts brackets itself since 0.2.6, with its own message.
    refusals = ("aliases expand", "nested too deeply", "maximum nesting depth")
    assert any(refusal in found[0] for refusal in refusals)


def test_merges_that_multiply_are_followed_once() -> None:
    found = lines(bomb_of_merges())

    assert len(found) == 30  # the unknown keys x0 ... x29


def test_a_long_chain_of_merges_is_a_problem() -> None:
    chain = "\n".join(f"x{n}: &x{n} {{<<: *x{n - 1}}}" for n in range(1, 5000))

    found = lines(f"x0: &x0 {{command: x}}\n{chain}\njobs: {{a: {{<<: *x4999}}}}")

    assert "aliases expand" in found[0]


def test_a_variable_that_is_not_utf_8_is_a_problem() -> None:
    parsed = config.parse(b'jobs: {a: {command: ["${X}"]}}', YAML, {"X": "\udcff"})

    assert "is not UTF-8" in parsed.problems[0].message


def test_five_thousand_unknown_zones_and_names_end_within_the_limit_of_a_test() -> None:
    jobs = "\n".join(f"  J{n}: {{command: x, timezone: Zone/No{n}}}" for n in range(5000))
    found = problems(f"jobs:\n{jobs}\n")

    assert len(found) == MOST_KEPT + 1
    assert found[-1].message.startswith("9900 more mistakes")


def test_five_thousand_mistakes_end_within_the_limit_of_a_test() -> None:
    jobs = "\n".join(
        f"  job-{n}: {{command: x, timout{n}: 1, deps: [job-x{n}], cron: '61 {n} * * *'}}"
        for n in range(5000)
    )
    found = problems(f"jobs:\n{jobs}\n")

    assert len(found) == MOST_KEPT + 1
    assert found[-1].message.startswith("14900 more mistakes")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_result(text: bytes) -> None:
    assert config.parse(text, YAML, {}).problems


WORDS = (
    "jobs: | a | : | command: x | worker: a.b | with: | cron: | timeout: | 5m | deps: | env: "
    "| none | defaults: | limits: | * | &a | *a | <<: | ${ | X | :- | !!str | - | ? | é | #"
)
PIECES = (
    [f"{word} " for word in WORDS.split(" | ")] + list("{}[],'\"\n\t:") + ["  ", "|\n", "\n  "]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_anything_like_yaml_is_a_result(text: str) -> None:
    parsed = config.parse(text.encode(), YAML, {"X": "1"})

    assert (parsed.config is None) == bool(parsed.problems)


def test_of_very_many_mistakes_the_first_hundred_are_kept_and_the_rest_is_counted() -> None:
    jobs = "\n".join(f"  j{number}: {{command: x, timout: 5m}}" for number in range(3000))

    found = problems(f"jobs:\n{jobs}\n")

    assert len(found) == MOST_KEPT + 1
    assert [problem.line for problem in found] == list(range(2, MOST_KEPT + 3))
    assert found[-1].message == "2900 more mistakes from here on are not listed"
    assert found[-1].severity == "error"


@pytest.mark.parametrize("way", ["command: [x]", "worker: health.run"])
def test_the_use_of_a_shell_is_refused_where_there_is_none(way: str) -> None:
    found = lines(f"jobs:\n  a:\n    {way}\n    shell: always\n")

    assert any("jobs.a.shell: is for a command that is one text" in each for each in found), found
