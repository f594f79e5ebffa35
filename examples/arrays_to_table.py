"""Track a list of arrays, and write all tracks as one CSV table (with pandas, if installed).

python examples/arrays_to_table.py OUT.csv
"""

import csv
import sys

import numpy as np

import mot


def moving_square(number: int) -> np.ndarray:
    """A gray image with a white square that moves to the right."""
    image = np.full((240, 320, 3), 60, np.uint8)
    left = 20 + 6 * number
    image[80:160, left : left + 40] = 255
    return image


def find_square(image: np.ndarray) -> list[list[float]]:
    rows, columns = np.nonzero(image[:, :, 0] > 200)
    return [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 1.0]]


images = [moving_square(number) for number in range(20)]
with open(sys.argv[1], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["frame", "id", "x1", "y1", "x2", "y2"])
    for frame, tracks in mot.track(images, detector=find_square, fps=25):
        for track in tracks:
            writer.writerow([frame.index, track.id, *track.box.round(1).tolist()])
