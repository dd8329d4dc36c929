"""`import crontab`: tables of cron -> jobs.yaml."""
