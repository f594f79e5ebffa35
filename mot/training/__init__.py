"""Training: datasets, augmentation, assigners, losses, the loop, and the metrics of detection."""
