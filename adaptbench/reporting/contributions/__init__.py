"""Runs that others contribute: packed, checked, and merged into a results folder."""
