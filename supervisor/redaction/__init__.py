"""What counts as a secret, and how secrets are masked in every text that leaves the service."""
