"""`simulate`: the coming days through the rules, without processes or time."""
