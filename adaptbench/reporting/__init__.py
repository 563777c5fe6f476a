"""Records, leaderboards and pictures."""
