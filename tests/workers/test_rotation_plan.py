"""Rotation plans: a readable table of cases, and invariants over random histories."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.backup import filenames
from workers.backup.listing import Backup, State, is_in_future
from workers.rotation.retention import Decision, Policy, plan, refusal

TABLE = Path(__file__).with_name("test_rotation_table.txt")
NOW = datetime(2026, 2, 10, tzinfo=UTC)
STATES = {"!": State.DAMAGED, "?": State.UNVERIFIED}


def a_backup(moment: datetime, marks: str = "", source: str = "a") -> Backup:
    """Return a copy; `source` is a database's name, or its whole path."""
    state = next((STATES[mark] for mark in marks if mark in STATES), State.VERIFIED)
    path = source if source.startswith("/") else f"/data/{source}.db"
    stem = filenames.stem(Path(path))
    return Backup(
        path=Path("/copies") / filenames.copy_name(stem, moment),
        stem=stem,
        source="" if state is State.UNVERIFIED else path,
        taken_at=moment,
        size_bytes=100,
        database_size_bytes=400,
        state=state,
        why="" if state is State.VERIFIED else "bad",
        kept="*" in marks,
    )


@dataclass
class Case:
    """One paragraph of the table."""

    title: str
    policy: Policy
    now: datetime
    zone: str
    have: list[Backup]
    stays: list[str]


def instant(text: str) -> datetime:
    """Parse a date as noon, UTC."""
    return datetime.fromisoformat(text if "T" in text else f"{text}T12:00").replace(tzinfo=UTC)


def copies(text: str) -> list[Backup]:
    """Return the copies that a word of `have` describes."""
    word, _, source = text.strip().partition("@")
    moments = word.rstrip("!?*")
    marks = word[len(moments) :]
    first, _, last = moments.partition("..")
    if not last:
        return [a_backup(instant(first), marks, source or "a")]
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    return [a_backup(instant(first) + timedelta(days=n), marks) for n in range(days + 1)]


def a_case(paragraph: str) -> Case:
    title, *lines = paragraph.splitlines()
    said = [line.partition(" ") for line in lines]
    words = {key: rest for key, _, rest in said if key != "="}
    counts = (item.split() for item in words["keep"].split(","))
    have = [one for word in words["have"].split(",") if word.strip() for one in copies(word)]
    return Case(
        title=title,
        policy=Policy(**{name: int(count) for name, count in counts}),
        now=instant(words["now"]),
        zone=words.get("zone", "UTC"),
        have=have,
        stays=[rest for key, _, rest in said if key == "=" and rest],
    )


def cases() -> list[Case]:
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [a_case(text) for text in "\n".join(lines).strip().split("\n\n")]


def shown(decision: Decision) -> str:
    """Return the decision as a line of the table."""
    backup = decision.backup
    noon = f"{backup.taken_at:%H:%M}" == "12:00"
    moment = f"{backup.taken_at:%Y-%m-%d}" if noon else f"{backup.taken_at:%Y-%m-%dT%H:%M}"
    source = {"/data/a.db": "", "": "", "/data/b.db": "@b"}.get(backup.source, f"@{backup.source}")
    return f"{moment}{source}: {decision.reason}"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.title)
def test_the_table(case):
    decisions = plan(case.have, case.policy, case.now, ZoneInfo(case.zone))

    assert [shown(one) for one in decisions if one.keep] == case.stays
    assert len(decisions) == len(case.have)


def test_the_table_has_forty_cases_with_titles_of_their_own():
    titles = [case.title for case in cases()]

    assert len(titles) >= 40
    assert len(titles) == len(set(titles))


histories = st.lists(
    st.builds(
        a_backup,
        st.integers(-500 * 1440, 200).map(lambda minutes: NOW + timedelta(minutes=minutes)),
        st.sampled_from(["", "", "", "", "!", "?", "*", "!*"]),
        st.sampled_from(["a", "a", "b", "/elsewhere/a.db"]),
    ),
    max_size=60,
    unique_by=lambda backup: backup.path.name,
)
policies = st.builds(
    Policy,
    last=st.integers(1, 6),
    daily=st.integers(0, 9),
    weekly=st.integers(0, 6),
    monthly=st.integers(0, 6),
    yearly=st.integers(0, 3),
)
zones = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati"])


def counted(backups):
    """Return the verified copies that are not ahead, by source, newest first."""
    found = {}
    for one in sorted(backups, key=lambda one: (one.taken_at, one.path.name), reverse=True):
        if one.state is State.VERIFIED and not is_in_future(one, NOW):
            found.setdefault((one.stem, one.source), []).append(one)
    return found


@given(histories, policies, zones)
def test_invariants(history, policy, zone):
    decisions = plan(history, policy, NOW, ZoneInfo(zone))
    kept = [one.backup for one in decisions if one.keep]

    # Kept and removed copies together are all copies, each once, each with a reason.
    assert sorted(map(repr, history)) == sorted(repr(one.backup) for one in decisions)
    assert all(one.reason for one in decisions)
    for verified in counted(history).values():
        # The newest verified one stays, and as many as promised.
        assert verified[0] in kept
        assert len([one for one in verified if one in kept]) >= min(policy.last, len(verified))
        by_hand = sum(one.kept for one in verified)
        most = policy.last + policy.daily + policy.weekly + policy.monthly + policy.yearly
        assert len([one for one in verified if one in kept]) <= most + by_hand
    assert all(one in kept for one in history if one.kept or is_in_future(one, NOW))


@given(histories, policies, zones)
def test_what_was_kept_is_kept_again(history, policy, zone):
    first = plan(history, policy, NOW, ZoneInfo(zone))
    kept = [one.backup for one in first if one.keep]

    again = plan(kept, policy, NOW, ZoneInfo(zone))

    assert [one.backup for one in again if one.keep and one.backup.state is State.VERIFIED] == [
        one for one in (d.backup for d in first if d.keep) if one.state is State.VERIFIED
    ]


@given(histories, policies, zones)
def test_what_is_not_verified_pushes_no_good_copy_out(history, policy, zone):
    good = [one for one in history if one.state is State.VERIFIED]

    alone = {d.backup: d.reason for d in plan(good, policy, NOW, ZoneInfo(zone))}
    beside = {d.backup: d.reason for d in plan(history, policy, NOW, ZoneInfo(zone))}

    assert {backup: beside[backup] for backup in good} == alone


@given(histories, policies)
def test_each_source_is_judged_apart(history, policy):
    utc = ZoneInfo("UTC")
    together = {d.backup: d.keep for d in plan(history, policy, NOW, utc)}

    for stem in {one.stem for one in history}:
        alone = plan([one for one in history if one.stem == stem], policy, NOW, utc)
        assert all(together[d.backup] == d.keep for d in alone)


def test_a_naive_instant_is_refused():
    with pytest.raises(ValueError, match="expected an aware instant"):
        plan([], Policy(last=1), NOW.replace(tzinfo=None), UTC)


def refusal_of(days_old, going, ahead_by=None, max_age=timedelta(days=2), max_delete=10):
    """Return the refusal to remove copies of which the newest is this old."""
    newest = NOW - timedelta(days=days_old)
    history = [a_backup(newest - timedelta(days=number)) for number in range(going + 1)]
    if ahead_by is not None:
        history.append(a_backup(NOW + ahead_by))
    decisions = plan(history, Policy(last=1), NOW, UTC)
    assert sum(not one.keep for one in decisions) >= going
    return refusal(decisions, max_age, max_delete, NOW)


def test_nothing_to_remove_is_never_refused():
    assert refusal_of(days_old=400, going=0, ahead_by=timedelta(days=9)) == ""


def test_fresh_copies_may_go():
    assert refusal_of(days_old=2, going=10) == ""


def test_nothing_goes_while_the_newest_is_too_old():
    said = refusal_of(days_old=5, going=1)

    assert "the newest verified copy of /data/a.db is 5d old, expected at most 2d" in said
    assert "--set max_age=6d" in said
    assert refusal_of(days_old=5, going=1, max_age=timedelta(days=6)) == ""


def test_nothing_goes_while_a_copy_is_dated_in_the_future():
    said = refusal_of(days_old=1, going=1, ahead_by=timedelta(hours=2))

    assert "a-2026-02-10T02-00-00Z.sqlite3.db.gz is dated in the future" in said
    assert "--set max_age=none" in said
    assert refusal_of(days_old=1, going=1, ahead_by=timedelta(hours=2), max_age=None) == ""
    assert "is dated in the future" in refusal_of(
        days_old=1, going=1, ahead_by=timedelta(seconds=1)
    )
    assert refusal_of(days_old=1, going=1, ahead_by=timedelta(0)) == ""


def test_no_more_go_at_once_than_is_allowed():
    said = refusal_of(days_old=1, going=11)

    assert said == ("11 copies are to go, expected at most 10; to allow it: --set max_delete=11")
    assert refusal_of(days_old=1, going=11, max_delete=11) == ""


def test_all_objections_are_said_at_once():
    said = refusal_of(days_old=5, going=11, ahead_by=timedelta(days=1))

    assert all(words in said for words in ("max_age=none", "max_age=6d", "max_delete=11"))


def test_a_stale_source_is_an_objection_only_to_its_own_removals():
    stale = [a_backup(NOW - timedelta(days=100), source="b")]
    fresh = [a_backup(NOW - timedelta(days=number)) for number in range(3)]

    decisions = plan(stale + fresh, Policy(last=1), NOW, UTC)

    assert sum(not one.keep for one in decisions) == 2
    assert refusal(decisions, timedelta(days=2), 10, NOW) == ""


def test_a_decision_is_a_value():
    decision = plan([a_backup(NOW)], Policy(last=1), NOW, UTC)[0]

    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.keep = False
