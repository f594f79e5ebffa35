"""Compare trackers on a MOTChallenge sequence with ground truth and detections.

python examples/evaluate_trackers.py SEQUENCE
"""

import sys
import tempfile
from pathlib import Path

import mot

sequence = Path(sys.argv[1])
for name in ("sort", "bytetrack", "best"):
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / f"{sequence.name}.txt"
        rows = [
            f"{frame.index},{t.id},{t.box[0]:.2f},{t.box[1]:.2f},{t.box[2] - t.box[0]:.2f},"
            f"{t.box[3] - t.box[1]:.2f},{t.score:.4f},-1,-1,-1\n"
            for frame, tracks in mot.track(sequence, tracker=name, embedder="none")
            for t in tracks
        ]
        result.write_text("".join(rows))
        summary = mot.evaluate(result, sequence)
    print(f"{name:10} HOTA {summary.hota:.3f}  MOTA {summary.mota:.3f}  IDF1 {summary.idf1:.3f}")
