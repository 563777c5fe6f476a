"""Evaluation: inference, confusion matrices, metrics."""
