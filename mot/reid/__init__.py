"""Re-identification: appearance embeddings of detections."""

DEFAULT_EMBEDDER = "person"  # ships with mot
NO_EMBEDDER = "none"
