"""One file for each group of kinds; each registers its functions with `handler`."""
