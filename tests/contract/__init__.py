"""What every plug-in must keep, ours and a user's: ``pytest tests/contract --plugins PATH ...``."""
