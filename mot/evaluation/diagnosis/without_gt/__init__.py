"""Suspected errors in results that have no ground truth."""
