"""Darknet networks: drawing, weights, PyTorch model, detector."""
