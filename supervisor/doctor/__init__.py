"""doctor: everything that can be known beforehand about why a night would fail.

A check is two functions: one measures on the ground, one judges what was measured and
is pure. `checks.py` is the table of them, `finding.py` what a judge may say,
`ground.py` what all measure from. The law: nothing is left behind and nobody is sent
anything; and every check lives in a process of its own with a limit (`apart.py`), for
a dead mount, a server that swallows bytes and a resolver can each hang for ever.
"""
