"""Datasets looked at file by file: defects, and how often each class occurs."""
