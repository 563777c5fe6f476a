"""Records, leaderboards and images."""
