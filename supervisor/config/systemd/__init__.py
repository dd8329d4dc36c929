"""`import systemd`: timers and services -> jobs.yaml."""
