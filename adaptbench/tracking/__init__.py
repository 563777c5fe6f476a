"""Runs in Weights & Biases and TensorBoard, made from what jobs write anyway: a training knows nothing of them."""
