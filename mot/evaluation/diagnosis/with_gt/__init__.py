"""The likely cause of each tracking error, from the ground truth."""
