"""Where the cameras stand."""

from imitate.data.camera import Camera

# The arm reaches 1.2 m around a shoulder 0.36 m above the floor. None looks along an axis of the arm's
# base, where left and right, or front and back, would look alike.
CAMERAS = {
    camera.name: camera
    for camera in (
        Camera("front", eye=(1.9, -1.2, 1.2), target=(0.0, 0.0, 0.45), fov=52.0, samples=2),
        # For comparison, and for the paper's recipe: as PyBullet's renderer draws.
        Camera("front_aliased", eye=(1.9, -1.2, 1.2), target=(0.0, 0.0, 0.45), fov=52.0, renderer="tiny"),
        Camera("side", eye=(0.9, 2.0, 0.9), target=(0.0, 0.0, 0.45), fov=52.0, samples=2),
        Camera("top", eye=(0.5, 0.3, 2.7), target=(0.0, 0.0, 0.45), fov=52.0, samples=2),
    )
}
