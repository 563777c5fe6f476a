"""What papers printed, alone and beside ours."""
