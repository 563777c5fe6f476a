"""Weights that others trained: reading their files, and converting names to those of our networks."""
