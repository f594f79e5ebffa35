"""Tracking metrics (HOTA, CLEAR MOT, identity), comparisons, diagnosis; detection metrics."""
