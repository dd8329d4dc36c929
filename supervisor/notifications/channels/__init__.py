"""One module for each service that alerts are sent to."""
