"""A small environment that knows nothing of this project."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

HEIGHT, WIDTH, FPS = 24, 40, 10


class Slider(gym.Env):
    """A white bar on a black ground, which actions push to the left and to the right."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (as Gymnasium has it)

    def __init__(self, render_mode=None, own=None, actions=None):
        self.render_mode = render_mode
        self.observation_space = own or spaces.Box(-1, 1, (2,), np.float64)
        self.action_space = actions or spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = (options or {}).get("place", self.np_random.uniform(0.2, 0.4))
        self.taken = 0
        return self._observe(), {"step": "its own", "place": self.place}

    def step(self, action):
        pushed = action[0] if np.ndim(action) else action - 1
        self.place = float(np.clip(self.place + 0.1 * pushed, 0, 1))
        self.taken += 1
        return self._observe(), self.place, self.place > 0.95, False, {"step": "its own", "place": self.place}

    def _observe(self):
        box = np.array([2 * self.place - 1, min(self.taken / 100, 1)])
        if isinstance(self.observation_space, spaces.Dict):
            return {"at": box, "left": int(self.place < 0.5)}
        return box

    def render(self):
        return None if self.render_mode is None else picture(self.place)


def picture(place):
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, int(place * (WIDTH - 4)) : int(place * (WIDTH - 4)) + 4] = 255
    return frame


gym.register("Slider-v0", Slider)  # slider:Slider-v0, in a process of its own too
