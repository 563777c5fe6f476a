"""Figures of images and predictions."""
