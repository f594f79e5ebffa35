"""A loop of your own: frames from OpenCV, the built-in detector, one tracker.

python examples/own_loop.py VIDEO
"""

import sys

import cv2

import mot

capture = cv2.VideoCapture(sys.argv[1])
fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
detector = mot.build_detector("person", conf=0.1)
tracker = mot.build_tracker("best")
index = 0
while True:
    ok, image = capture.read()
    if not ok:
        break
    (detections,) = detector([image])
    tracks = tracker.update(detections, image, time=index / fps)
    index += 1
    print(index, tracks)
