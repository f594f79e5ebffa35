"""Trackers on the sequences of a data set: planned, spread over processes, kept, gone on with."""
