"""Darknet networks: `.cfg` parser, layers, PyTorch model, weights, detector, architecture."""
