"""Metric names and the time limit shared by the senders and their child processes."""

# A longer call kills its process by SIGALRM, even if the server sends a byte now and then.
CALL_S = 20
# How many messages of a batch have arrived.
DELIVERED = "delivered"
# The Retry-After of the channel or endpoint, in seconds.
RETRY_AFTER = "retry_after_seconds"
# The number of a heartbeat whose call has finished, successfully or not.
ANSWERED = "answered"
# The number of a failed heartbeat that may be retried; sent before ANSWERED.
AGAIN = "again"
