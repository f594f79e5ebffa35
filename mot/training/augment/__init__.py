"""Training samples: pictures changed at random, and their boxes with them.

`settings` says how much; `views` moves pictures (NumPy and OpenCV); `sample` is what torchvision
then works on, and what becomes of it; `pixels` recolours and hides; `augmenter` puts all in order.
"""
