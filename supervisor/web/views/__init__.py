"""Values for the templates, made from answers of the API. Pure: no I/O, no clock."""
