"""Tables of ablation studies."""
