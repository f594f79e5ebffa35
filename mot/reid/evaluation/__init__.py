"""Evaluation of embedders: re-ID galleries and retrieval metrics."""
