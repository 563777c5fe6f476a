"""Images drawn from arrays: sheets of labelled panels."""
