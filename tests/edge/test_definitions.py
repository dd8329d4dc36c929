"""Job definitions as they are shown, and parsed again."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import definitions
from supervisor.core.config_model import CatchUp, Job, Limits, Overlap, ShellUse
from tests.core.core_harness import job

seconds = st.one_of(st.none(), st.floats(0.5, 1e6))
jobs = st.builds(
    job,
    st.just("a"),
    cron=st.sampled_from([(), ("0 2 * * *",), ("0 2 * * *", "@daily")]),
    deps=st.sampled_from([(), ("b", "c")]),
    argv=st.one_of(st.none(), st.just(("x", "y"))),
    timeout_s=seconds,
    late_after_s=seconds,
    catch_up_window_s=seconds,
    overlap=st.sampled_from(list(Overlap)),
    catch_up=st.sampled_from(list(CatchUp)),
    exclusive=st.sampled_from([None, "exclusive", "g"]),
    success_exit_status=st.sampled_from([(0,), (0, 3)]),
    env=st.sampled_from([(), (("LANG", "C"),)]),
    limits=st.builds(Limits, address_space=st.sampled_from([None, 2**30])),
    params_json=st.sampled_from(["{}", '{"database":"x"}']),
    retries=st.integers(0, 9),
    enabled=st.booleans(),
)
ways = st.one_of(
    st.sampled_from([{}, {"worker": "a.b"}]),
    st.fixed_dictionaries({"shell": st.just("echo x"), "shell_use": st.sampled_from(ShellUse)}),
)


@given(jobs, ways)
def test_a_definition_that_was_shown_can_be_read_back(definition, way):
    if way:
        definition = msgspec.structs.replace(definition, argv=None, **way)
    body = msgspec.json.encode(definitions.definition_of(definition, str))
    reported = msgspec.json.decode(body, type=definitions.Definition)

    assert definitions.job_from(reported, place=0) == definition


def test_what_an_answer_leaves_out_is_the_default_of_the_key():
    assert definitions.definition_of(Job("a", 0), str) == definitions.Definition("a")


def test_whether_a_shell_is_used_is_shown_where_the_command_is_a_text():
    shown = [
        definitions.definition_of(job("a", argv=argv, shell=shell), str).shell_use
        for argv, shell in ((("x", "y"), None), (None, "x y"))
    ]

    assert shown == [None, "auto"]
