"""`import systemd`: converts timers and services to jobs.yaml."""
