"""What is seen beside the boxes: the camera's motion, what people look like."""
