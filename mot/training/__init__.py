"""Training: data sets, augmentation, assigners, losses, the loop, and the metrics of detection."""
