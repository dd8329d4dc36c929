"""docs/deployment.md, the plain installation: each command must succeed.

The other ways need a container engine and are tested in tests/deployment.
"""

from tests.acceptance.daemon import Sandbox
from tests.acceptance.doc_pages import blocks, typed
from tests.waiting import until


def test_every_command_of_the_plain_way_succeeds():
    _compose, _folder, _by_hand, _page, _systemd, *commands = blocks("docs/deployment.md", "sh")
    with Sandbox() as sandbox:
        try:
            printed = typed(sandbox, commands)
        finally:
            sandbox.ask("stop")  # in case an earlier command failed

        assert len(commands) == 3
        assert "healthy" in printed
        assert "stopped" in printed
        until(lambda: sandbox.ask("status").returncode == 3)
