"""Refusals of the operating system become one line that says what to do."""

import os

import pytest

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.start_errors import as_start_failure


def test_memory_that_is_not_there_is_named_with_a_way_out():
    with pytest.raises(CliError) as failed, as_start_failure("start over /state"):
        bytearray(1 << 60)

    assert failed.value.status == ExitCode.NO
    assert failed.value.text == "start over /state: not enough memory"
    assert "ulimit -v" in failed.value.hint


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(CliError) as failed, as_start_failure("start over /state"):
        os.open(tmp_path / "missing", os.O_RDONLY)

    assert failed.value.text == f"start over /state: {tmp_path}/missing: No such file or directory"


def test_a_full_device_has_its_way_out():
    with (
        pytest.raises(CliError) as failed,
        as_start_failure("start over /state"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")

    assert failed.value.text == "start over /state: No space left on device"
    assert "make room" in failed.value.hint


@pytest.mark.parametrize(
    "wrong", [RuntimeError("of ours"), ImportError("no module"), KeyError("x")]
)
def test_an_error_of_our_own_is_not_translated(wrong):
    with pytest.raises(type(wrong)), as_start_failure("start over /state"):
        raise wrong
