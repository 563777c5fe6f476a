"""Workers submitted to Slurm: what they ask for, their scripts, and what they check before they begin."""
