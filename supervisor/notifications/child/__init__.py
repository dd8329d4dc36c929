"""HTTP calls of alerts and heartbeats, in child processes because they may hang."""
