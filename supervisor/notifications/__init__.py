"""Telling the world outside: alerts to a channel, heartbeats to URLs.

What is to be told, in what order and when is decided in the core; here it becomes
texts and calls. `posting` and `heart` run in children, the only places where
requests is imported; all else runs in the supervisor and never waits.
"""
