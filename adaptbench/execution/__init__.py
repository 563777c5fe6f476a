"""Running jobs: their stages, processes and scores."""
