"""Runs packed for others, checked and merged."""
