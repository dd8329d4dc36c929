"""Delivery of alerts to a channel and of heartbeats to URLs.

The core decides what is sent, in which order and when; this package builds the
messages and sends them. `channels` has one module for each kind of channel. `child`
runs in child processes, the only place that imports requests. Everything else runs in
the supervisor and never blocks. Start with `alert_sender.py` and `heartbeat_sender.py`.
"""
