"""The pages of docs/ that are made from what plug-ins, docstrings, tests and results say."""
