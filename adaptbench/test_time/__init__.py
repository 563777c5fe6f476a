"""Test-time adaptation: a network changes while it predicts a stream of images without labels."""
