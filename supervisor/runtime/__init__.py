"""The running service: the loop, its turns, what they cause, and how errors are contained."""
