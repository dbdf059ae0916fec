"""Imported by the process that those of tests are forked from: what is compiled, and reads meshes, is there then."""

import numpy as np

from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, rasteriser_of

for arm in ARMS.values():
    rasteriser_of(arm.file).draw(np.zeros((1, arm.joints)), CAMERAS["front"], 16)
rasteriser_of.cache_clear()  # a worker's has one thread
