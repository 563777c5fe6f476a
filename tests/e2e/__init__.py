"""End-to-end tests: what the engine promises, seen from the command line."""
