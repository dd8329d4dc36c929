"""`nightshift doctor`: checks for problems that would make runs fail.

A check is two functions: one measures, given a `DoctorContext`, and one judges the
measurement and is pure. `checks.py` is the table of all checks, `finding.py` defines
their results, `context.py` their input. Invariant: a check leaves nothing behind and
sends no message. `isolation.py` runs each check in its own process with a time
limit, because a dead mount, an unresponsive server and a resolver can hang forever.
"""
