"""What both sides of an errand of this room know: metrics that count, and the limit."""

# A call that takes longer ends its process: the kernel's alarm, whatever the other side drips.
CALL_S = 20
# How many messages of a journey have arrived.
DELIVERED = "delivered"
# What a channel asked for.
RETRY_AFTER = "retry_after_seconds"
# The number of a beat that was called, well or not.
ANSWERED = "answered"
# The number of a beat that was not taken, though a repetition may be: it comes before ANSWERED.
AGAIN = "again"
