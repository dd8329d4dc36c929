"""What runs in child processes because it may hang: HTTP calls of alerts and heartbeats."""
