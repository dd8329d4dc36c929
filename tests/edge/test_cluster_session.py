"""Connections to the PostgreSQL of a cluster: none of them waits for ever."""

import psycopg
import pytest

from supervisor.cluster import session
from tests.workers.proxy import proxied


@pytest.mark.timeout(60)
def test_a_statement_whose_data_is_dropped_on_the_way_is_given_up(postgres):
    """What stands in between still acknowledges every packet, so TCP notices nothing."""
    with proxied(postgres) as (proxy, dsn):
        db = session.connect(dsn, "public")
        proxy.swallow_after = 0

        with pytest.raises(psycopg.OperationalError, match="no answer from PostgreSQL for"):
            db.execute("SELECT 1")

        assert db.closed
        proxy.swallow_after = None
        with session.connect(dsn, "public") as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_an_answer_that_keeps_coming_is_read_to_its_end(postgres, monkeypatch):
    """It takes some three seconds, since each piece of 4096 bytes is delayed."""
    monkeypatch.setattr(session, "ANSWER_S", 1.0)
    with proxied(postgres, delay_s=0.02) as (_, dsn), session.connect(dsn, "public") as db:
        (found,) = db.execute("SELECT repeat('a', 600000)").fetchone()

        assert len(found) == 600_000
