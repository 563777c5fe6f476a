"""What may be said about the order of rows: tests and the gap closed."""
