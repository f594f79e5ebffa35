"""Measuring results: HOTA, CLEAR and identity with ground truth, plausibility without."""
