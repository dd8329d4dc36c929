"""Runs as spans for OpenTelemetry: a process of its own, and a client of the socket.

`spans.py` makes a span of a run and is pure; `position.py` keeps what was sent;
`ended_runs.py` reads /v1/events; `shipping.py` sends what has ended, through `otlp.py`,
which alone imports the SDK. The service knows nothing of it and never waits for it.
"""
