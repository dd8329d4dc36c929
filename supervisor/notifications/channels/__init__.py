"""Message formats: one module for each service to which alerts are sent."""
