"""People who walk: where they come from, where they go, how they avoid each other.

The state is a structure of arrays, one row a person; rows are in the order of the ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.synthetic.appearance import Look, make_build, make_look, make_vector
from mot.synthetic.body import Array, Build
from mot.synthetic.layout import Layout
from mot.synthetic.routes import Route, make_route
from mot.synthetic.scenes import stream


@dataclass(slots=True)
class People:
    """N people; `appearances` is a list of N, `build` has its own order."""

    ids: npt.NDArray[np.int64]
    place: Array  # (N, 2) metres on the ground
    velocity: Array  # (N, 2) metres a second
    heading: Array  # (N,) radians
    phase: Array  # (N,) of the gait, 0..1
    speed: Array  # (N,) what each likes to walk
    height: Array  # (N,) metres
    route: Array  # (N, 2, 2) the way round and the goal
    leg: npt.NDArray[np.int64]  # (N,) which of the route's points comes next; 2: arrived
    drift: Array  # (N,) slow wandering of the direction, radians
    stop: Array  # (N, 2) seconds until the person stops, and for how long
    friend: npt.NDArray[np.int64]  # (N,) id of the companion who leads, 0 for none
    beside: Array  # (N, 2) where a companion walks, from the leader
    vector: Array  # (N, 64) unit vectors of appearance
    build: Build
    appearances: list[Look]

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[mask])
        self.build = self.build[mask]
        self.appearances = [
            appearance for appearance, kept in zip(self.appearances, mask, strict=True) if kept
        ]

    def add(self, other: People) -> None:
        for name in _COLUMNS:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        self.build = Build.join([self.build, other.build])
        self.appearances = self.appearances + other.appearances


_COLUMNS = [name for name in People.__slots__ if name not in ("build", "appearances")]


class Crowd:
    """Steps the people on and lets new ones in when others have left."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self._layout = layout
        self._scene = layout.scene
        self._seed = seed
        self._entries = stream(seed, "entries")
        self._noise = stream(seed, "motion")
        self._circles = layout.circles()
        self._next_id = 1
        self._wait = 0.0  # seconds until the next may enter
        self.people = self._newcomers(make_route(layout, self._entries))
        if self._scene.people < 1:
            self.people.keep(np.zeros(len(self.people.ids), np.bool_))
        self._fill()

    def _fill(self) -> None:
        """People are everywhere in the street when the first frame is taken."""
        while len(self.people.ids) < self._scene.people:
            self._enter()
        share = self._entries.uniform(0.05, 0.85, len(self.people.ids))
        people = self.people
        path = people.route[:, 0] - people.place
        onward = people.route[:, 1] - people.route[:, 0]
        lengths = np.stack([np.hypot(*path.T), np.hypot(*onward.T)], axis=1)
        gone = share * lengths.sum(axis=1)
        first = np.minimum(gone / np.maximum(lengths[:, 0], 1e-6), 1.0)
        second = np.maximum(gone - lengths[:, 0], 0) / np.maximum(lengths[:, 1], 1e-6)
        people.place += first[:, None] * path + second[:, None] * onward
        people.leg[first >= 1] = 1
        self._join_friends()
        for _ in range(30):
            self.step(1 / 30, let_in=False)

    def _join_friends(self) -> None:
        people = self.people
        followers = np.flatnonzero(people.friend > 0)
        leaders = np.searchsorted(people.ids, people.friend[followers])
        people.place[followers] = people.place[leaders] + people.beside[followers]
        people.leg[followers] = people.leg[leaders]

    def _enter(self) -> None:
        route = make_route(self._layout, self._entries)
        self.people.add(self._newcomers(route))

    def _newcomers(self, route: Route) -> People:
        """One person, or a pair."""
        leader = self._person(route, 0)
        if self._entries.random() < self._scene.pairs:
            companion = self._person(route, int(leader.ids[0]))
            companion.speed = leader.speed
            companion.stop = leader.stop
            leader.add(companion)
        return leader

    def _person(self, route: Route, friend: int) -> People:
        person = self._next_id
        self._next_id += 1
        rng = stream(self._seed, "person", person)
        appearance = make_look(rng)
        scene = self._scene
        start, towards = np.array(route.start), np.array(route.way) - route.start
        heading = float(np.arctan2(towards[1], towards[0]))
        aside = 0.72 * np.array([-np.sin(heading), np.cos(heading)]) * rng.choice([-1, 1])
        speed = float(np.clip(rng.normal(scene.speed, scene.speed_spread), 0.6, 2.2))
        stops = rng.random() < scene.stops
        return People(
            ids=np.array([person]),
            place=(start + (aside if friend else 0))[None],
            velocity=speed * np.array([[np.cos(heading), np.sin(heading)]]),
            heading=np.array([heading]),
            phase=rng.uniform(0, 1, 1),
            speed=np.array([speed]),
            height=np.clip(rng.normal(1.72, 0.085, 1), 1.5, 1.98),
            route=np.array([[route.way, route.goal]]) + (aside if friend else 0),
            leg=np.zeros(1, np.int64),
            drift=np.zeros(1),
            stop=np.array([[rng.uniform(2, 12) if stops else np.inf, rng.uniform(2, 7)]]),
            friend=np.array([friend]),
            beside=aside[None],
            vector=make_vector(rng),
            build=make_build(rng, appearance),
            appearances=[appearance],
        )

    def step(self, dt: float, let_in: bool = True) -> None:
        people = self.people
        wish = self._wish(dt)
        wish += self._push_from_props(wish)
        wish += self._push_from_people()
        people.velocity += (wish - people.velocity) * min(dt / 0.45, 1.0)
        people.place += people.velocity * dt
        self._stay_out()
        self._turn(dt)
        if let_in:
            self._let_out()
            self._let_in(dt)

    def _wish(self, dt: float) -> Array:
        """(N, 2): the velocity each would have if alone in the street."""
        people = self.people
        rows = np.arange(len(people.ids))
        ahead = people.route[rows, np.minimum(people.leg, 1)] - people.place
        away = np.sqrt((ahead * ahead).sum(axis=1))
        people.leg += away < 0.9
        people.drift += -people.drift * dt / 3 + self._noise.normal(0, 0.12 * dt**0.5, len(rows))
        people.stop[:, 0] -= dt
        still = (people.stop[:, 0] < 0) & (people.stop[:, 0] > -people.stop[:, 1])
        pace = np.where(still, 0.0, people.speed) / np.maximum(away, 1e-6)
        cos, sin = np.cos(people.drift), np.sin(people.drift)
        x, y = ahead[:, 0] * pace, ahead[:, 1] * pace
        wish = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)
        self._follow(wish)
        return wish

    def _follow(self, wish: Array) -> None:
        """Companions keep to their leader's side, as long as the leader is there."""
        people = self.people
        followers = np.flatnonzero(people.friend > 0)
        if not len(followers):
            return
        leaders = np.searchsorted(people.ids, people.friend[followers])
        there = people.ids[leaders] == people.friend[followers]  # a leader's id is the smaller
        rows, leaders = followers[there], leaders[there]
        gap = people.place[leaders] + people.beside[rows] - people.place[rows]
        wish[rows] = people.velocity[leaders] + 0.8 * gap
        people.leg[rows] = people.leg[leaders]

    def _push_from_props(self, wish: Array) -> Array:
        """(N, 2): away from what is in the way, and past it on the nearer side."""
        if not len(self._circles):
            return np.zeros_like(wish)
        dx = self.people.place[:, :1] - self._circles[:, 0]
        dy = self.people.place[:, 1:] - self._circles[:, 1]
        away = np.sqrt(dx * dx + dy * dy) + 1e-6
        push = 1.4 * np.exp((self._circles[:, 2] + 0.3 - away) / 0.3) / away
        side = np.where(dx * wish[:, 1:] - dy * wish[:, :1] > 0, -0.9, 0.9)
        push = np.minimum(push, 4.0)
        return np.stack(
            [(push * (dx - side * dy)).sum(axis=1), (push * (dy + side * dx)).sum(axis=1)], axis=1
        )

    def _push_from_people(self) -> Array:
        place = self.people.place
        dx = place[:, :1] - place[:, 0]
        dy = place[:, 1:] - place[:, 1]
        away = np.sqrt(dx * dx + dy * dy) + 1e-3
        push = 0.9 * np.exp((0.45 - away) / 0.22) / away
        push = np.minimum(push, 2.5)
        return np.stack(
            [(push * (dx - 0.4 * dy)).sum(axis=1), (push * (dy + 0.4 * dx)).sum(axis=1)], axis=1
        )

    def _stay_out(self) -> None:
        """Whoever got into a prop all the same is put back to its edge."""
        if not len(self._circles):
            return
        place = self.people.place
        dx = place[:, :1] - self._circles[:, 0]
        dy = place[:, 1:] - self._circles[:, 1]
        away = np.sqrt(dx * dx + dy * dy) + 1e-6
        deep = self._circles[:, 2] + 0.18 - away
        if (deep > 0).any():
            out = np.maximum(deep, 0) / away
            worst = out.argmax(axis=1)
            rows = np.arange(len(place))
            place[:, 0] += (out * dx)[rows, worst]
            place[:, 1] += (out * dy)[rows, worst]

    def _turn(self, dt: float) -> None:
        """Faces follow the way, feet follow the speed."""
        people = self.people
        vx, vy = people.velocity[:, 0], people.velocity[:, 1]
        pace = np.sqrt(vx * vx + vy * vy)
        turn = np.arctan2(vy, vx) - people.heading
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        people.heading += turn * np.minimum(pace / 0.6, 1.0) * min(dt / 0.25, 1.0)
        people.phase = (people.phase + dt * pace / stride(pace, people.height)) % 1.0

    def _let_out(self) -> None:
        people = self.people
        x, y = people.place[:, 0], people.place[:, 1]
        outside = np.abs(x) > self._layout.half_width(y) + 3.2
        gone = (people.leg > 1) | outside | (y < 1.0)
        if gone.any():
            people.keep(~gone)

    def _let_in(self, dt: float) -> None:
        self._wait -= dt
        if self._wait < 0 and len(self.people.ids) < self._scene.people:
            self._enter()
            self._wait = self._entries.exponential(0.35)


def stride(pace: Array, height: Array) -> Array:
    """Metres a full cycle takes: longer steps at higher speed, as people do."""
    return np.asarray(0.8 * height * np.sqrt(np.maximum(pace, 0.25) / 1.35))
