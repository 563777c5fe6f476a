"""Checkpoints of others and of runs: imported and scored."""
