"""The running service: the loop, its turns, their effects, and containment of errors."""
