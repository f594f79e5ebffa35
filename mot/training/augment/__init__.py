"""Random augmentation of training images and their boxes.

`settings` are the probabilities and strengths; `views` crops, scales and combines images (NumPy and
OpenCV); `sample` is the input of torchvision's transforms, and makes targets; `pixels` changes
colors; `augmenter` runs all of it; `crop` augments the crops of embedders.
"""
