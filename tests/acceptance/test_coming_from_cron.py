"""docs/coming-from-cron.md, as someone with a crontab types it: each command must succeed."""

from tests.acceptance.daemon import Sandbox
from tests.acceptance.doc_pages import blocks, typed

CRONTAB = "#!/bin/sh\necho '30 6 * * 1-5 echo morning'\n"


def test_every_command_of_coming_from_cron_succeeds():
    with Sandbox() as sandbox:
        crontab = sandbox.root / "bin" / "crontab"
        crontab.parent.mkdir()
        crontab.write_text(CRONTAB)
        crontab.chmod(0o755)

        units = sandbox.root / "units"
        units.mkdir()
        (units / "tidy.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (units / "tidy.service").write_text("[Service]\nExecStart=/bin/true\n")

        printed = typed(sandbox, blocks("docs/coming-from-cron.md", "sh"))

        assert "no mistakes" in printed
        assert "timers.yaml: 1 job, no mistakes" in printed
        assert "30 6 * * 1-5" in sandbox.config.read_text()
