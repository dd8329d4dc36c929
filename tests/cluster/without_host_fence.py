"""A host that does not fence itself, for the test that it must.

`test_host_fence.py` puts a copy of this file as `sitecustomize.py` on $PYTHONPATH, so that
the supervisor of a host loads it when it begins.
"""

import sys


def take_out() -> None:
    """Let the supervisor go on with what it runs when its confirmation is over."""
    from supervisor.core import assigned

    assigned.check_fence = lambda turn: None


if __name__ == "sitecustomize" and sys.orig_argv[1:3] == ["-m", "supervisor"]:
    take_out()
