"""Several processes, ranks, that train one method: each computes networks on its share of every batch.

What networks give is put together again, so that everything between them (losses, mixed images, thresholds,
prototypes) is computed from whole batches, by every rank alike, and is the arithmetic of one process whatever the
method.
"""
