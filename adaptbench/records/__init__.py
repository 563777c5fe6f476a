"""The format of results: job files, hashes, records, confusion matrices."""
