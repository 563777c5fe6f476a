"""Small modules that are trained in place of a frozen encoder."""
