"""Weights of others: read safely, and named as our networks name them."""
