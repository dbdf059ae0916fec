"""A sister arm: the smaller iiwa 7, as robosuite models it and MuJoCo draws it. A second opinion on what is seen."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.errors import UserError, first_line

Frames = NDArray[np.uint8]

MODEL = "models/assets/robots/iiwa/robot.xml"  # in robosuite, of which nothing else is needed
SEEN = 1  # the group of what is to be seen in its models; the others are to be bumped into
ROOM = 4.0  # m, half of a side of its floor
INSTALL = "pip install --no-deps robosuite==1.5.2, and mujoco"


def film_sister(
    poses: NDArray[np.floating], camera: Camera, size: int, rng: np.random.Generator, textured: bool = False
) -> Frames:
    """Film it: (n, size, size, 3) uint8, at each of ``poses`` (n, joints), rad.

    Args:
        poses: Its joints turn as ours do.
        camera: That films it.
        size: Pixels a side.
        rng: Draws the room.
        textured: Whether there are a floor and walls with patterns, and a table; else there is nothing, on white.

    Raises:
        UserError: Its model, or MuJoCo, is not installed, or nothing can be drawn here.
    """
    mujoco = _mujoco()
    side = size * camera.samples
    spec = mujoco.MjSpec.from_file(str(model_file()))
    spec.visual.global_.offwidth = spec.visual.global_.offheight = side
    _put_up(mujoco, spec, camera)
    _furnish(mujoco, spec, rng if textured else None)
    model = spec.compile()
    data, seen = mujoco.MjData(model), mujoco.MjvOption()
    seen.geomgroup[:] = [group in (0, SEEN) for group in range(len(seen.geomgroup))]
    frames = np.empty((len(poses), size, size, 3), np.uint8)
    try:
        renderer = mujoco.Renderer(model, side, side)
    except Exception as error:  # whatever OpenGL raises where there is none
        raise _cannot_draw(error) from None
    try:
        for frame, pose in zip(frames, poses, strict=True):
            data.qpos[: len(pose)] = pose
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera.name, seen)
            blocks = renderer.render().reshape(size, camera.samples, size, camera.samples, 3)
            frame[:] = blocks.mean(axis=(1, 3)).round()
    finally:
        renderer.close()
    return frames


def check_sister() -> None:
    """Refuse to film it where that can't be done, before hours of work.

    Raises:
        UserError: As ``film_sister`` does.
    """
    model_file()
    mujoco = _mujoco()
    try:
        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
    except Exception as error:  # whatever OpenGL raises where there is none
        raise _cannot_draw(error) from None


def model_file() -> Path:
    """Where robosuite, which is not imported, has its model.

    Raises:
        UserError: It is not installed.
    """
    found = find_spec("robosuite")
    for place in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(place) / MODEL).is_file():
            return path
    raise UserError(f"the sister arm's model is robosuite's, which is not installed: {INSTALL}")


def _mujoco() -> Any:
    """MuJoCo, which looks for OpenGL as soon as it is imported."""
    try:
        return import_module("mujoco")
    except ModuleNotFoundError:
        raise UserError(f"the sister arm wants MuJoCo, which is not installed: {INSTALL}") from None
    except Exception as error:
        raise _cannot_draw(error) from None


def _cannot_draw(error: Exception) -> UserError:
    return UserError(f"MuJoCo can't draw here ({first_line(error)}): set MUJOCO_GL=egl, or osmesa with libosmesa6")


def _put_up(mujoco: Any, spec: Any, camera: Camera) -> None:
    """A camera, and a lamp beside it."""
    eye, forward = np.array(camera.eye), np.array(camera.target) - np.array(camera.eye)
    right = np.cross(forward, camera.up)
    up = np.cross(right, forward)
    own = spec.worldbody.add_camera(name=camera.name, pos=eye, fovy=camera.fov)
    own.alt.type, own.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, np.append(right, up)
    spec.worldbody.add_light(pos=[1.0, -1.0, 3.0], dir=[-0.3, 0.3, -1.0], diffuse=[0.5, 0.5, 0.5])
    spec.visual.headlight.ambient = [0.4, 0.4, 0.4]
    spec.visual.headlight.diffuse = [0.3, 0.3, 0.3]


def _furnish(mujoco: Any, spec: Any, rng: np.random.Generator | None) -> None:
    """What is behind all, and, of a textured room, a floor and a table."""
    sky = {"type": mujoco.mjtTexture.mjTEXTURE_SKYBOX, "width": 64, "height": 64}
    builtin = mujoco.mjtBuiltin
    if rng is None:
        spec.add_texture(name="sky", builtin=builtin.mjBUILTIN_FLAT, rgb1=[1.0] * 3, rgb2=[1.0] * 3, **sky)
        return
    colours = rng.uniform(0.1, 0.9, (6, 3))
    spec.add_texture(name="sky", builtin=builtin.mjBUILTIN_GRADIENT, rgb1=colours[0], rgb2=colours[1], **sky)
    for name, first, second in (("floor", 2, 3), ("table", 4, 5)):
        spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            builtin=builtin.mjBUILTIN_CHECKER,
            rgb1=colours[first],
            rgb2=colours[second],
            width=64,
            height=64,
        )
        material = spec.add_material(name=name, texrepeat=[6.0, 6.0])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    world, kinds = spec.worldbody, mujoco.mjtGeom
    world.add_geom(type=kinds.mjGEOM_PLANE, size=[ROOM, ROOM, 0.1], pos=[0.0, 0.0, -0.7], material="floor")
    world.add_geom(type=kinds.mjGEOM_BOX, size=[0.6, 0.7, 0.02], pos=[0.3, 0.0, -0.02], material="table")
