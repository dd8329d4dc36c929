"""`GET /metrics`: the place where Prometheus' client is loaded, at the first scrape."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from supervisor.api.ground import Ground, now


class Scraping:
    """The answers to scrapes."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def get_metrics(self, request: Request) -> Response:
        # Late: 14 MB and 70 ms, which only those pay who scrape.
        from supervisor.api import prometheus

        desk = self._ground.desk
        seen = prometheus.Seen(self._ground.world, desk.facts, desk.tally, now())
        pieces, kind = prometheus.pieces(seen, request.headers.get("accept", ""))
        text = bytearray()
        for piece in pieces:
            text += piece
            await asyncio.sleep(0)  # let others have their answers
        return Response(bytes(text), headers={"Content-Type": kind})
