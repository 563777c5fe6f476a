"""Networks that are not trained here: imports, and networks of anybody in their network files."""
