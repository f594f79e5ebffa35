"""Tracking errors one by one, with and without ground truth."""
