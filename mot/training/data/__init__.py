"""Training samples: order and batches of an epoch, worker processes, and crops for embedders."""
