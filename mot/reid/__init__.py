"""What is seen beside the boxes: the camera's motion, what people look like."""

DEFAULT_EMBEDDER = "person"  # which comes with mot
NO_EMBEDDER = "none"
