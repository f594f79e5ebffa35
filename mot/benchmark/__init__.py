"""Trackers on the sequences of a dataset: planned, spread over processes, kept, gone on with."""
