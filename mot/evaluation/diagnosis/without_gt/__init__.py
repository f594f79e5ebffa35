"""Suspicious places in results that have no ground truth."""
