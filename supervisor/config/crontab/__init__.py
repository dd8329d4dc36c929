"""`import crontab`: converts crontabs to jobs.yaml."""
