"""From the links of an arm to what is drawn of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError, first_line

from .kernel import Body
from .link import Floats, Link, Shape

if TYPE_CHECKING:
    import trimesh

GONE = 1e-3  # what of a tool is left that is not there
TOUCHING = 1e-5  # m; corners that are nearer than this are the same
CREASE = np.cos(np.radians(50))  # triangles that turn more than this from each other meet at an edge that is seen


def body_of(links: Sequence[Link], smooth: bool = True) -> Body:
    """Load what is seen of an arm.

    Args:
        links: Of the arm.
        smooth: Whether it may be shaded as if it were round. To find out how takes a while.

    Raises:
        UserError: A mesh that can't be read or has no triangles, or an arm of which nothing is seen.
    """
    vertices: list[Floats] = []
    triangles: list[NDArray[np.integer]] = []
    owners: list[NDArray[np.int32]] = []
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
    if not seen.any():
        raise UserError("nothing is seen of the arm: none of its triangles has an area")
    own, directions = np.concatenate(owners)[seen], normals[seen] / lengths[seen, None]
    bent = _bent(points, corners[seen], own, normals[seen]) if smooth else np.repeat(directions[:, None], 3, axis=1)
    return Body(
        parents=np.array([link.parent for link in links], np.int32),
        joints=np.array([link.joint for link in links], np.int32),
        frames=np.array([link.frame for link in links], np.float64),
        axes=np.array([link.axis for link in links], np.float64),
        starts=np.array(starts, np.int32),
        vertices=np.ascontiguousarray(points, np.float64),
        triangles=np.ascontiguousarray(corners[seen]),
        owners=own,
        normals=directions,
        bent=bent,
        colours=np.concatenate(colours)[seen],
    )


def built(body: Body, factors: Floats, lengths: Floats) -> Body:
    """The same arm, otherwise built.

    Args:
        body: Of it.
        factors: (links, 3) that what is seen of each link is larger by, along the axes of its frame.
        lengths: (links,) that each is farther from its parent by.
    """
    vertices = body.vertices * np.repeat(factors, np.diff(body.starts), axis=0)
    frames = body.frames.copy()
    frames[:, :, 3] *= lengths[:, None]
    across = factors[body.owners]  # a surface turns the other way than its corners move
    normals, bent = body.normals / across, body.bent / across[:, None]
    return body._replace(
        vertices=vertices,
        frames=frames,
        normals=normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        bent=bent / np.linalg.norm(bent, axis=-1, keepdims=True),
    )


def has_tool(body: Body) -> bool:
    """Whether an arm ends in a link that no joint moves."""
    return bool(body.joints[-1] < 0)


def without_tool(body: Body) -> Body:
    """The same arm, and nothing is left of its last link."""
    count = len(body.parents)
    factors = np.ones((count, 3))
    factors[-1] = GONE
    return built(body, factors, np.ones(count))


def _bent(points: Floats, corners: NDArray[np.int32], owners: NDArray[np.int32], normals: Floats) -> Floats:
    """Normals (triangles, 3, 3) at the corners: of all triangles of the link that meet there and turn little.

    Args:
        points: (vertices, 3).
        corners: (triangles, 3).
        owners: (triangles,) links.
        normals: (triangles, 3), as long as twice the triangle's area: the larger counts more.
    """
    directions = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    keys = np.column_stack([np.repeat(owners, 3), np.round(points[corners].reshape(-1, 3) / TOUCHING)])
    _, place = np.unique(keys, axis=0, return_inverse=True)  # meshes have a vertex for each triangle at an edge
    order = np.argsort(place, kind="stable")
    bent = np.empty((len(keys), 3))
    for group in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        triangles = group // 3
        alike = directions[triangles] @ directions[triangles].T > CREASE
        bent[group] = alike @ normals[triangles]
    return (bent / np.linalg.norm(bent, axis=1, keepdims=True)).reshape(-1, 3, 3)


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
        raise UserError(f"{shape.file}: not a mesh that can be read ({first_line(error)})") from None
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise UserError(f"{shape.file}: a mesh without triangles, expected some")
    if not np.isfinite(mesh.vertices).all():
        raise UserError(f"{shape.file}: a mesh with vertices that are no numbers")
    mesh.vertices = mesh.vertices * np.array(shape.size)
    if np.prod(shape.size) < 0:  # mirrored: what was outside is within
        mesh.faces = mesh.faces[:, ::-1]
    return mesh
