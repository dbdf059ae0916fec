"""The room of a video: what is seen there beside the robot, and what light falls on it, as far as the video shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imitate.data.camera import Camera

from .kuka import Arm, body_of
from .lamp import Surfaces
from .landmarks import number_of
from .rendering.body import built, has_tool, without_tool
from .rendering.rasteriser import Rasteriser
from .scenes.light import Light
from .scenes.scene import PLAIN, Scene

Floats = NDArray[np.float32]

WHITE = 255.0
BRIGHT = Light(strength=0.0, ambient_strength=1.0)  # in which a colour is what it is
NOTHING, MIXED = -1, -2  # of a pixel where no link is seen, and where more than one thing is
AROUND = 3  # pixels about the arm, as it is believed to stand, that may be of it
SMOOTH = (1.0, 0.7, 0.7, 0.0)  # frames and pixels that noise is taken out over, to learn colours
FAINT, SURE = 10.0, 4.0  # what differs from the room by so much, and so many times the noise, is not of it
OFTEN, HIDDEN = 4, 0.7  # frames that the arm should be seen in at a pixel, and share of them in which it is not
ENOUGH = 60  # pixels of a link, over all frames, that its colour is learned from
BRIGHTEST = 30.0  # that a link may be, of what it is usually
BEYOND = np.uint16(256)  # any brightness
DARK = 5.0  # of 255: of so little, no factor can be told
LAMP = 16  # frames that the lamp is looked for in
PLAINER = 0.8  # of the error that is left: a link has a light, or then a single colour, of its own if it leaves less


@dataclass(frozen=True, eq=False)
class Room:
    """What is seen of a room, and of an arm in it.

    Attributes:
        background: (size, size, 3) uint8, what is seen where the arm is not.
        light: (links, 3) what the arm's colours are multiplied by, in the light of the lamp.
        painted: (links,) whether a link has a single colour there, and not its own.
        before: (size, size) where something stands before the arm.
        noise: Standard deviation of a pixel, of 255.
        lamp: From where it shines, and how much light comes from everywhere.
    """

    background: NDArray[np.uint8]
    light: Floats
    painted: NDArray[np.bool]
    before: NDArray[np.bool]
    noise: float
    lamp: Light = PLAIN.light

    def halved(self) -> Room:
        """The same as it is seen with half as many pixels a side."""
        side = len(self.background) // 2
        blocks = self.background.reshape(side, 2, side, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        before = self.before.reshape(side, 2, side, 2).mean(axis=(1, 3)) > 0.5
        return replace(self, background=blocks, before=before, noise=self.noise / 2)


class Painter:
    """Draws an arm in rooms.

    Args:
        arm: That is drawn.
        threads: That share the frames; None: as many as there are cores, or one in a worker process.
        tool: Whether it holds what it usually does.
        sister: Whether it is of its other size.

    Attributes:
        arm: That is drawn.
        body: What is seen of it.
        landmarks: That it has: without a tool, not those of its ends.
    """

    def __init__(self, arm: Arm, threads: int | None = None, tool: bool = True, sister: bool = False) -> None:
        self.arm, self._threads = arm, threads
        self.body = body_of(arm.file) if tool else without_tool(body_of(arm.file))
        if sister:
            self.body = built(self.body, np.ones((len(arm.sister), 3)), np.array(arm.sister))
        self.landmarks = number_of(arm, self.body) if tool else len(self.body.parents) - 1
        self._own = self._of(self.body.colours)
        self._white = self._of(np.full_like(self.body.colours, WHITE))
        self._known: tuple[Room | None, Rasteriser] = None, self._own
        self._smooth: tuple[NDArray[np.uint8] | None, Floats] = None, np.zeros(0, np.float32)

    def draw(self, room: Room, poses: NDArray[np.floating], camera: Camera) -> NDArray[np.uint8]:
        """What is seen of it there: (n, size, size, 3) at poses (n, joints), rad."""
        if self._known[0] is not room:
            owners = self.body.owners
            colours = np.where(room.painted[owners][:, None], WHITE, self.body.colours)
            self._known = room, self._of(colours * room.light[owners])
        frames = self._known[1].draw_before(room.background, poses, camera, room.lamp)
        frames[:, room.before] = room.background[room.before]
        return frames

    def there(self, poses: NDArray[np.floating], camera: Camera, size: int) -> Floats:
        """What share of each pixel the arm takes: (n, size, size), 0 to 1."""
        return (_samples(self._own, poses, camera, size) >= 0).mean(axis=(2, 4), dtype=np.float32)

    def _smoothed(self, frames: NDArray[np.uint8]) -> Floats:
        """Frames without their noise: of a video in which room after room is learned, once."""
        if self._smooth[0] is not frames:
            self._smooth = frames, ndimage.gaussian_filter(frames.astype(np.float32), SMOOTH)
        return self._smooth[1]

    def _of(self, colours: NDArray[np.floating]) -> Rasteriser:
        return Rasteriser(self.body._replace(colours=colours.astype(np.float64)), self._threads)

    def lamp(self, frames: NDArray[np.uint8], poses: NDArray[np.floating], camera: Camera) -> Light:
        """Find the lamp of a room, of a video as ``learn`` has it."""
        some = np.unique(np.linspace(0, len(frames) - 1, LAMP).astype(int))
        frames, poses, size = frames[some], poses[some], frames.shape[1]
        links = _links(_samples(self._own, poses, camera, size))
        where = ndimage.minimum_filter(links != NOTHING, size=(1, 3, 3)) & (links >= 0)
        colours = self._own.draw(poses, camera, size, (Scene("white", light=BRIGHT),))
        seen, own = (images[where].astype(np.float64) for images in (frames, colours))
        return Surfaces(self._white, poses, camera, where, links[where].astype(int), seen, own).lamp()

    def learn(
        self,
        frames: NDArray[np.uint8],
        poses: NDArray[np.floating],
        camera: Camera,
        around: int = AROUND,
        lamp: Light = PLAIN.light,
    ) -> Room:
        """Learn a room from a video.

        What is seen where the arm is not, in most of the frames, is the room. What colour a link has is what is seen
        where it is, if that is not the room's.

        Args:
            frames: (length, size, size, 3) uint8.
            poses: (length, joints) that they are believed to show, rad.
            camera: That filmed them.
            around: Pixels about the arm that may be of it, too.
            lamp: That shines there.
        """
        size = frames.shape[1]
        links = _links(_samples(self._own, poses, camera, size))
        lit = (Scene("lit", light=lamp),)
        own, white = (one.draw(poses, camera, size, lit).astype(np.float32) for one in (self._own, self._white))
        there = links != NOTHING
        near = _near(there, around)
        background = _seen_behind(frames, near)
        smooth = self._smoothed(frames)
        noise, left = (_deviation((values - background)[~near]) for values in (frames, smooth))
        other = np.abs(smooth - background).max(axis=-1) > FAINT + SURE * left
        inside = ndimage.minimum_filter(there, size=(1, 3, 3)) & other
        light, painted = _lit(frames, links, own, white, inside, len(self.body.parents))
        return Room(background.round().astype(np.uint8), light, painted, _before(there, other), noise, lamp)


def painters_of(arm: Arm) -> list[Painter]:
    """Of an arm as it is; if it holds a tool, of one without; and of one of its other size."""
    others = [{"tool": False}] if has_tool(body_of(arm.file)) else []
    others += [{"tool": False, "sister": True}] if arm.sister else []
    return [Painter(arm), *(Painter(arm, **other) for other in others)]


def _near(there: NDArray[np.bool], around: int) -> NDArray[np.bool]:
    """Where the arm may be, (n, size, size): as many pixels about it, or fewer where it would never be away."""
    near = _grown(there, around)
    for fewer in range(around - 1, -1, -1):
        always = near.all(axis=0) & ~there.all(axis=0)
        if not always.any():
            break
        near[:, always] = _grown(there, fewer)[:, always]
    return near


def _grown(there: NDArray[np.bool], by: int) -> NDArray[np.bool]:
    return ndimage.maximum_filter(there, size=(1, 2 * by + 1, 2 * by + 1))


def _before(there: NDArray[np.bool], other: NDArray[np.bool]) -> NDArray[np.bool]:
    """Where the room is seen though the arm should be, nearly always: (size, size)."""
    often, unseen = there.sum(axis=0), (there & ~other).sum(axis=0)
    hidden = (often >= OFTEN) & (unseen > HIDDEN * often)
    return ndimage.binary_opening(hidden, np.ones((3, 3), bool))


def _samples(rasteriser: Rasteriser, poses: NDArray[np.floating], camera: Camera, size: int) -> NDArray[np.int16]:
    """The link that is seen in each sample of each pixel (n, size, samples, size, samples); -1: none."""
    side = camera.samples
    return rasteriser.identify(poses, camera, side * size).reshape(len(poses), size, side, size, side)


def _links(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """The link that is seen in all samples of each pixel (n, size, size), or ``NOTHING``, or ``MIXED``."""
    least, most = samples.min(axis=(2, 4)), samples.max(axis=(2, 4))
    return np.where(least == most, most, np.int16(MIXED))


def _seen_behind(frames: NDArray[np.uint8], near: NDArray[np.bool]) -> Floats:
    """The median of what is seen of each pixel where the arm is not near, or of the nearest pixel that is ever free."""
    free = (~near).sum(axis=0)
    if not free.any():
        return np.median(frames, axis=0).astype(np.float32)
    # In order, and what is of the arm comes last: so it takes a quarter of the time of ``nanmedian``.
    seen = np.where(near[..., None], BEYOND, frames).transpose(1, 2, 3, 0)
    order = np.sort(seen, axis=-1)
    middles = [np.clip(at, 0, len(frames) - 1)[..., None, None] for at in ((free - 1) // 2, free // 2)]
    lower, upper = (np.take_along_axis(order, middle, axis=-1)[..., 0].astype(np.float32) for middle in middles)
    rows, columns = ndimage.distance_transform_edt(free == 0, return_distances=False, return_indices=True)
    return ((lower + upper) / 2)[rows, columns]


def _deviation(values: NDArray[np.floating]) -> float:
    """Standard deviation of what is mostly noise, robust (Rousseeuw and Croux, 1993)."""
    return float(1.4826 * np.median(np.abs(values))) if values.size else 0.0


def _lit(
    seen: NDArray[np.uint8], links: NDArray[np.int16], own: Floats, white: Floats, inside: NDArray[np.bool], count: int
) -> tuple[Floats, NDArray[np.bool]]:
    """What each link's colours, or white, are multiplied by in a room, and which it is.

    The same of all links, unless one is much more like what is seen with its own: each light more is one more that
    poses that are wrong can be explained with.
    """

    def fitted(colours: Floats, where: NDArray[np.bool]) -> tuple[Floats, float]:
        factor = np.median(seen[where] / np.maximum(colours[where], DARK), axis=0).clip(0, BRIGHTEST)
        return factor, float(np.abs(seen[where] - factor * colours[where]).mean())

    light, painted = np.ones((count, 3), np.float32), np.zeros(count, bool)
    if inside.sum() >= ENOUGH:
        light[:] = fitted(own, inside)[0]
    for link in range(count):
        where = inside & (links == link)
        if where.sum() >= ENOUGH:
            least = np.abs(seen[where] - light[link] * own[where]).mean()
            for colours, is_painted in ((own, False), (white, True)):
                factor, error = fitted(colours, where)
                if error < PLAINER * least:
                    light[link], painted[link], least = factor, is_painted, error
    return light, painted
