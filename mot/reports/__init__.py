"""Plots, sheets and pages of evaluations, datasets and trainings."""
