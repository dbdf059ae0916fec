"""What is drawn of an arm, and how its links hang together: arrays that compiled code takes as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError

if TYPE_CHECKING:
    import trimesh

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
PRIMITIVES = ("box", "cylinder", "sphere", "capsule")


class Body(NamedTuple):
    """An arm, as compiled code takes it. Lengths in m; triangles of one link stand together.

    Attributes:
        parents: (links,) each link's parent, which stands before it; -1 is the world.
        joints: (links,) which joint turns the link against its parent; -1: none does.
        frames: (links, 3, 4) where the link stands in its parent's frame, with its joint at 0.
        axes: (links, 3) of its joint, in its own frame.
        starts: (links + 1,) a link's vertices are those from its own number to the next.
        vertices: (vertices, 3) in their link's frame.
        triangles: (triangles, 3) vertices, counterclockwise seen from outside.
        owners: (triangles,) the link of each.
        normals: (triangles, 3) outward, in their link's frame.
        colours: (triangles, 3) 0 to 255.
    """

    parents: Integers
    joints: Integers
    frames: Floats
    axes: Floats
    starts: Integers
    vertices: Floats
    triangles: Integers
    owners: Integers
    normals: Floats
    colours: Floats


@dataclass(frozen=True)
class Link:
    """One link of an arm, and how it hangs on its parent.

    Attributes:
        name: Of the link.
        parent: Number of its parent; -1: the world.
        joint: Number of the joint that turns it; -1: none does.
        frame: (3, 4) where it stands in its parent's frame, with its joint at 0.
        axis: (3,) of its joint, in its own frame.
        shapes: What is seen of it.
    """

    name: str
    parent: int
    joint: int
    frame: Floats
    axis: Floats
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Shape:
    """Something that is seen of a link.

    Attributes:
        kind: ``mesh``, or one of ``PRIMITIVES``.
        file: Of a mesh.
        size: (3,) scale of a mesh; sides of a box; length and radius of a cylinder or capsule, or radius of a sphere.
        frame: (3, 4) where it stands in its link's frame.
        colour: (3,) 0 to 1.
    """

    kind: str
    file: Path | None
    size: tuple[float, float, float]
    frame: Floats
    colour: tuple[float, float, float]


def body_of(links: Sequence[Link]) -> Body:
    """Load what is seen of an arm.

    Raises:
        UserError: A mesh that can't be read or has no triangles, or an arm of which nothing is seen.
    """
    vertices: list[Floats] = []
    triangles: list[NDArray[np.integer]] = []
    owners: list[Integers] = []
    starts = [0]
    colours: list[Floats] = []
    for number, link in enumerate(links):
        count = starts[-1]
        for shape in link.shapes:
            mesh = _mesh(shape)
            vertices.append(mesh.vertices @ shape.frame[:, :3].T + shape.frame[:, 3])
            triangles.append(mesh.faces + count)
            owners.append(np.full(len(mesh.faces), number, np.int32))
            count += len(mesh.vertices)
            colours.append(np.tile(255.0 * np.array(shape.colour), (len(mesh.faces), 1)))
        starts.append(count)
    if not triangles:
        raise UserError(f"nothing is seen of the arm: none of its {len(links)} links has a mesh")
    points, corners = np.concatenate(vertices), np.concatenate(triangles).astype(np.int32)
    normals = np.cross(points[corners[:, 1]] - points[corners[:, 0]], points[corners[:, 2]] - points[corners[:, 0]])
    lengths = np.linalg.norm(normals, axis=1)
    seen = lengths > 0  # what has no area is not seen
    return Body(
        parents=np.array([link.parent for link in links], np.int32),
        joints=np.array([link.joint for link in links], np.int32),
        frames=np.array([link.frame for link in links], np.float64),
        axes=np.array([link.axis for link in links], np.float64),
        starts=np.array(starts, np.int32),
        vertices=np.ascontiguousarray(points, np.float64),
        triangles=np.ascontiguousarray(corners[seen]),
        owners=np.concatenate(owners)[seen],
        normals=normals[seen] / lengths[seen, None],
        colours=np.concatenate(colours)[seen],
    )


def _mesh(shape: Shape) -> trimesh.Trimesh:
    import trimesh  # which takes longer than what it reads

    if shape.kind == "mesh":
        return _loaded(shape)
    first, second, third = shape.size
    if shape.kind == "box":
        return trimesh.creation.box(extents=(first, second, third))
    if shape.kind == "sphere":
        return trimesh.creation.icosphere(subdivisions=2, radius=first)
    if shape.kind == "cylinder":
        return trimesh.creation.cylinder(radius=second, height=first)
    return trimesh.creation.capsule(radius=second, height=first)


def _loaded(shape: Shape) -> trimesh.Trimesh:
    import trimesh

    assert shape.file is not None
    try:
        mesh = trimesh.load(shape.file, force="mesh", process=False, skip_materials=True)
    except Exception as error:  # whatever its readers raise, of a file that is not what it should be
        raise UserError(f"{shape.file}: not a mesh that can be read ({error})") from None
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise UserError(f"{shape.file}: a mesh without triangles, expected some")
    if not np.isfinite(mesh.vertices).all():
        raise UserError(f"{shape.file}: a mesh with vertices that are no numbers")
    mesh.vertices = mesh.vertices * np.array(shape.size)
    return mesh
