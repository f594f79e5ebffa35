"""Readers and writers of annotations, and what is known of a dataset."""
