"""AdaptBench: a benchmark for unsupervised domain adaptation and generalization of semantic segmentation."""

__version__ = "0.1.0"
