"""Random versions of jobs.yaml for the model."""

from random import Random

from supervisor.core.config_model import IfLost, Job, Overlap
from supervisor.core.model import replace
from tests.core.core_harness import in_file, job


def random_texts(dice: Random) -> tuple[tuple[Job, ...], ...]:
    """Return two versions of jobs.yaml; the second changes a part of the first."""
    first = _jobs(dice)
    changed = list(first)
    if len(changed) > 3 and dice.random() < 0.5:
        del changed[dice.randrange(len(changed))]
    place = dice.randrange(len(changed))
    changed[place] = replace(changed[place], exclusive=dice.choice((None, "nas", "tape")))
    names = {each.name for each in changed}
    kept = [
        replace(each, deps=tuple(dep for dep in each.deps if dep in names)) for each in changed
    ]
    return in_file(first), in_file(kept)


def _jobs(dice: Random) -> list[Job]:
    if_lost = dice.choice(list(IfLost))
    overlap = dice.choice(list(Overlap))
    drawn = [
        job("a", cron="* * * * *", exclusive="nas", retries=1, retry_delay_s=5),
        job("b", cron="*/2 * * * *", exclusive="nas", if_lost=if_lost),
        job("once", cron="*/2 * * * *", if_lost=IfLost.NEVER),
        job("onceretry", cron="* * * * *", if_lost=IfLost.NEVER, retries=2, retry_delay_s=3),
        job("oncetape", cron="* * * * *", if_lost=IfLost.NEVER, exclusive="tape"),
        job("tape", cron="* * * * *", exclusive="tape", overlap=overlap, retry_delay_s=5),
        job("waits", cron="*/2 * * * *", if_lost=IfLost.WAIT),
        job("waitstape", cron="*/2 * * * *", if_lost=IfLost.WAIT, exclusive="tape"),
        job("db", cron="* * * * *", runs_on=("db",), retry_delay_s=5),
        job("ona", cron="*/2 * * * *", runs_on=("host:a",), exclusive="nas"),
        job("minutely", cron="* * * * *", overlap=overlap, retry_delay_s=5, retries=1),
        job("manual", retry_delay_s=5),
    ]
    chosen = dice.sample(drawn, 4)
    base = job("c", cron="* * * * *", retry_delay_s=5)
    after = job("after", cron="*/2 * * * *", deps=["c"])
    return [base, *chosen, *([after] if dice.random() < 0.5 else [])]
