"""What may be said about a difference: intervals, resampling, tests. Pure functions of numbers."""
