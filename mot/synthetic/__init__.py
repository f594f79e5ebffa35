"""A rendered street with perfect truth: for tests, the demo, training data and benchmarks."""

from mot.synthetic.scenes import SCENES, Scene
from mot.synthetic.world import Moment, World, make_world

__all__ = ["SCENES", "Moment", "Scene", "World", "make_world"]
