"""The world: frames, the truth about them, and what a detector would say, one moment at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mot.errors import MotError, suggest
from mot.synthetic.camera import Array, Camera, CameraPath
from mot.synthetic.crowd import Crowd
from mot.synthetic.figures import cover, estimate_visibility, prop_boxes, see_people
from mot.synthetic.layout import make_layout
from mot.synthetic.painter import Owners, Painter
from mot.synthetic.scenes import SCENES, Scene
from mot.synthetic.simulated_detector import SimulatedDetector
from mot.types import Detections, FloatArray, Frame, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame and all that is known about it; N people, M detections."""

    frame: Frame
    ids: IntArray  # (N,) from 1, ascending, never used again
    boxes: FloatArray  # (N, 4) xyxy, amodal: they may reach beyond the image
    visibility: FloatArray  # (N,) share of the person that can be seen, 0..1
    detections: Detections  # with embeddings (M, 64)
    identities: IntArray  # (M,) whom each detection shows, 0 for a false alarm
    owners: Owners | None = None  # (H, W) row of `ids` that each pixel belongs to; -1: none


class World:
    """A street full of people. The same scene, seed and size give the same moments each time."""

    def __init__(
        self, scene: Scene, seed: int = 0, size: tuple[int, int] | None = None, render: bool = True
    ) -> None:
        self.scene = scene if size is None else replace(scene, size=size)
        self.seed = seed
        self.render = render
        self._path = CameraPath(self.scene, seed, self.scene.size)
        self._layout = make_layout(self.scene, seed, self._path)
        self._hiding: tuple[Camera, Array] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.scene.size

    @property
    def fps(self) -> float:
        return self.scene.fps

    def moments(self, frames: int | None = None) -> Iterator[Moment]:
        """From the first frame on, without end if `frames` is None; each call starts over."""
        crowd = Crowd(self._layout, self.seed)
        spotter = SimulatedDetector(self.scene, self.seed, self.size)
        painter = Painter(self._layout, self.seed) if self.render else None
        index = 0
        while frames is None or index < frames:
            index += 1
            yield self._moment(index, crowd, spotter, painter)
            crowd.step(1 / self.fps)

    def _moment(
        self, index: int, crowd: Crowd, spotter: SimulatedDetector, painter: Painter | None
    ) -> Moment:
        time = (index - 1) / self.fps
        camera = self._path.at(time)
        people = crowd.people
        figures = see_people(people, camera)
        hidden = cover(figures)
        rows = np.flatnonzero(figures.inside)
        ids, boxes = people.ids[rows], figures.boxes[rows]
        if painter is None:
            props = self._prop_boxes(camera)
            visibility = estimate_visibility(figures, hidden, props, camera)[rows]
            image = owners = None
        else:
            painting = painter.paint(people, figures, camera, time)
            visibility, image, owners = painting.visibility, painting.image, painting.owners
        detections, identities = spotter.detect(
            ids, boxes, visibility, people.vector[rows], hidden[np.ix_(rows, rows)]
        )
        return Moment(
            frame=Frame(image, index, time),
            ids=ids,
            boxes=boxes.astype(np.float32),
            visibility=visibility.astype(np.float32),
            detections=detections,
            identities=identities,
            owners=owners,
        )

    def _prop_boxes(self, camera: Camera) -> Array:
        """What the props hide; recomputed only if the camera has moved."""
        if self._hiding is None or self._hiding[0] != camera:
            props = [*self._layout.props, *self._layout.hideouts]
            self._hiding = (camera, prop_boxes(props, camera))
        return self._hiding[1]


def make_world(
    name: str, seed: int = 0, size: tuple[int, int] | None = None, render: bool = True
) -> World:
    """The world of a named scene."""
    if name not in SCENES:
        raise MotError(f"unknown scene {name!r}: {suggest(name, SCENES)}")
    return World(SCENES[name], seed, size, render)
