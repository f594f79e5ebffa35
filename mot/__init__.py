"""Detect and track people in video, and measure it."""
