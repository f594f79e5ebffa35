"""Why results are as they are."""
