"""Pictures with boxes, of whatever format, as one kind of data set."""
