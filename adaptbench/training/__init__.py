"""Training: loop, optimiser, checkpoints."""
