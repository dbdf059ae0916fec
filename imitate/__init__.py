"""imitate: show a robot a video, and it learns to do the same, from pixels alone.

Importing this package registers ``TCNImitate-v0`` and its siblings with Gymnasium.
"""

from importlib import import_module
from importlib.util import find_spec

__version__ = "0.1.0"

# The simulated robots stand above this library and import it, never the other way round. Only their ids
# are announced here, so that `import imitate` is enough for `gym.make`. Installed, they are
# `imitate.envs`; in a checkout, the folder `envs` beside this one.
import_module("imitate.envs" if find_spec("imitate.envs") else "envs")
