"""The likely cause of each error, against ground truth."""
