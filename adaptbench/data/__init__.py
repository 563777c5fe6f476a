"""Data: taxonomy, transforms, batches, sources, the firewall and the generated world."""
