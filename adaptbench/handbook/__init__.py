"""The pages of docs/methods and docs/datasets, made from what plug-ins, tests and results say."""
