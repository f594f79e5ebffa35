"""Training samples: images changed at random, and their boxes with them.

`settings` says how much; `views` moves images (NumPy and OpenCV); `sample` is what torchvision
then works on, and what becomes of it; `pixels` recolours and hides; `augmenter` puts all in order.
"""
