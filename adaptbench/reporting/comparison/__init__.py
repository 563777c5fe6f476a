"""Two methods or runs compared."""
