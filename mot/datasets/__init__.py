"""Datasets of annotated images: one reader per format, checks, statistics, and COCO export."""
