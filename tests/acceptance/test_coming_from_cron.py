"""docs/coming-from-cron.md, as somebody with a crontab types it: each command must succeed."""

from tests.acceptance.daemon import House
from tests.acceptance.handbook import blocks, typed

CRONTAB = "#!/bin/sh\necho '30 6 * * 1-5 echo morning'\n"


def test_every_command_of_coming_from_cron_succeeds():
    with House() as house:
        crontab = house.root / "bin" / "crontab"
        crontab.parent.mkdir()
        crontab.write_text(CRONTAB)
        crontab.chmod(0o755)

        units = house.root / "units"
        units.mkdir()
        (units / "tidy.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (units / "tidy.service").write_text("[Service]\nExecStart=/bin/true\n")

        printed = typed(house, blocks("docs/coming-from-cron.md", "sh"))

        assert "no mistakes" in printed
        assert "timers.yaml: 1 job, no mistakes" in printed
        assert "30 6 * * 1-5" in house.config.read_text()
