"""Network streams, which are reopened after increasing pauses when they break off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from mot.errors import MotError
from mot.video.decode import Decoder, open_container
from mot.video.libav import reason
from mot.video.reader import RawFrame, Reader, SourceInfo

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reopen
TIMEOUT = (10.0, 10.0)  # seconds to open, and to wait for data
# Interleaved in the one TCP connection: UDP loses packets, which shows as gray smears.
OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}, "rtsps": {"rtsp_transport": "tcp"}}


class StreamReader(Reader):
    """A URL. Indices and times continue after a break."""

    def __init__(
        self,
        url: str,
        pauses: Sequence[float] = PAUSES,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._url = url
        self._label = _without_password(url)
        self._pauses = pauses
        self._decoder = self._connect()
        # A recording served over HTTP starts again from its beginning, a live stream does not.
        self._recorded = bool(self._decoder.container.duration)
        super().__init__(self._source_info())
        self._pause = pause or self.stopped.wait
        self._last = RawFrame(0, 0.0, lambda: None)  # the last one yielded
        self._breaks = 0

    def _connect(self) -> Decoder:
        scheme = urlsplit(self._url).scheme.lower()
        container = open_container(
            self._url,
            self._label,
            mend="check the address and that it can be reached",
            timeout=TIMEOUT,
            options=OPTIONS.get(scheme, {}),
        )
        return Decoder(container, self._label)

    def _source_info(self) -> SourceInfo:
        decoder = self._decoder
        count = decoder.stream.frames if self._recorded else None
        return SourceInfo(
            _name(self._url), decoder.fps, decoder.size, count or None, not self._recorded
        )

    def frames(self) -> Iterator[RawFrame]:
        """Raises a `MotError` when no attempt to reopen brings a new frame."""
        yield from self._continue(0.0)
        attempts, paused = 0, 0.0
        while self._is_broken():
            if attempts == len(self._pauses):
                raise self._broke_off(attempts)
            self._pause(self._pauses[attempts])
            if self.stopped.is_set():
                return
            paused, attempts = paused + self._pauses[attempts], attempts + 1
            for raw in self._reconnect(paused):
                attempts, paused = 0, 0.0
                yield raw

    def _broke_off(self, attempts: int) -> MotError:
        why = reason(self._decoder.failure) if self._decoder.failure else "it ended"
        return MotError(
            f"{self._label}: broke off after frame {self._last.index} ({why}) and could not be "
            f"opened again in {attempts} tries: check the network and the camera"
        )

    def _is_broken(self) -> bool:
        """After an error, or after the end of a stream that should not end."""
        is_camera = "mpjpeg" in self._decoder.container.format.name
        is_endless = not self._url.lower().startswith("http") or is_camera
        return bool(self._decoder.failure) or (is_endless and not self._recorded)

    def _reconnect(self, paused: float) -> Iterator[RawFrame]:
        self._decoder.close()
        try:
            decoder = self._connect()
        except MotError:
            return
        self._decoder = decoder
        self._breaks += 1
        yield from self._continue(paused)

    def _continue(self, paused: float) -> Iterator[RawFrame]:
        """The new frames of the current connection; indices and times follow the last frame."""
        before, period = self._last, 1 / self._decoder.fps
        origin = None
        for raw in self._decoder.frames():
            if self._recorded:
                if raw.index <= before.index:
                    continue
            else:
                origin = raw.time if origin is None else origin
                start = before.time + paused + period if before.index else 0.0
                raw = replace(
                    raw,
                    index=before.index + raw.index,
                    time=start + raw.time - origin,
                )
            self._last = raw
            yield raw

    def warnings(self) -> list[str]:
        if not self._breaks:
            return []
        times = "once" if self._breaks == 1 else f"{self._breaks} times"
        return [f"{self._label}: broke off and was opened again {times}"]

    def close(self) -> None:
        self._decoder.close()


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]*@", "", url)


def _name(url: str) -> str:
    parts = urlsplit(url)
    last = parts.path.rstrip("/").rpartition("/")[2].rpartition(".")
    stem = last[0] or last[2] or parts.hostname or "stream"
    return re.sub(r"[^\w.-]+", "_", stem)
