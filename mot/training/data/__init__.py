"""Images with boxes, of whatever format, as one kind of dataset."""
