"""Records, leaderboards and images. What writes files raises `RunStateError` where it cannot."""
