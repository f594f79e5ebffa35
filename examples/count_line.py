"""Count the tracks whose foot point crosses a vertical line in the middle of the video.

python examples/count_line.py VIDEO
"""

import sys

import mot

last: dict[int, float] = {}
to_left = to_right = 0
with mot.open_source(sys.argv[1]) as frames:
    assert frames.size is not None
    middle = frames.size[0] / 2
    for _, tracks in mot.Pipeline().run(frames):
        for track in tracks:
            x = float(track.box[0] + track.box[2]) / 2
            before = last.get(track.id, x)
            to_right += before < middle <= x
            to_left += x < middle <= before
            last[track.id] = x
print(f"to the right: {to_right}, to the left: {to_left}")
