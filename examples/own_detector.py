"""Track with a detector of your own: here, bright blobs found with OpenCV.

python examples/own_detector.py VIDEO
"""

import sys

import cv2
import numpy as np

import mot


def bright_blobs(image: np.ndarray) -> np.ndarray:
    """(N, 5) boxes of bright regions: x1, y1, x2, y2, score."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    _, mask = cv2.threshold(gray, 200, 255, cv2.THRESH_BINARY)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    boxes = [(x, y, x + w, y + h, 0.9) for x, y, w, h, area in stats[1:] if area > 50]
    return np.array(boxes, np.float32).reshape(-1, 5)


for frame, tracks in mot.track(sys.argv[1], detector=bright_blobs, tracker="bytetrack"):
    print(frame.index, tracks.ids.tolist())
