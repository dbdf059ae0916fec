"""Make the low-polygon arms of ``assets/kuka`` and ``assets/panda`` from the meshes that ship with PyBullet.

``python -m pipelines.lowpoly`` decimates every visual mesh of pybullet_data's Kuka iiwa to about 150
triangles (14,700 -> 1,200 for the whole arm, which makes a 64x64 frame several times cheaper to draw),
and rewrites two of its robot descriptions to use them:

* ``iiwa.urdf``: the 7-joint arm, with a tool at the flange. The bare flange is round, so that without a
  tool no camera can see the last joint turn.
* ``iiwa_gripper.sdf``: the 12-joint arm with gripper of the paper.

So it does with its Franka Panda:

* ``panda.urdf``: the 7-joint arm, with its hand, whose fingers stand half open.

Needs the ``assets`` extra (trimesh, fast-simplification).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pybullet_data
import trimesh

TRIANGLES = 150
ASSETS = Path(__file__).resolve().parents[1] / "assets"
FLANGE = "0 0 0.107"  # m, of the Panda, from its last joint: a link of which nothing is seen, upstream
OPEN = 0.02  # m that each of the Panda's fingers is from the middle

# An angular tool: a stem along the flange's axis and a bar across its end. The bar's two halves differ
# in length and colour, so that half a turn of the last joint does not look like none.
TOOL = """
  <link name="tool">
    <inertial>
      <origin rpy="0 0 0" xyz="0 0 0.06"/>
      <mass value="0.3"/>
      <inertia ixx="0.002" ixy="0" ixz="0" iyy="0.002" iyz="0" izz="0.002"/>
    </inertial>
    <visual>
      <origin rpy="0 0 0" xyz="0 0 0.06"/>
      <geometry><box size="0.05 0.05 0.12"/></geometry>
      <material name="tool_stem"><color rgba="0.15 0.15 0.15 1"/></material>
    </visual>
    <visual>
      <origin rpy="0 0 0" xyz="0.10 0 0.14"/>
      <geometry><box size="0.20 0.07 0.06"/></geometry>
      <material name="tool_bar"><color rgba="0.9 0.1 0.1 1"/></material>
    </visual>
    <visual>
      <origin rpy="0 0 0" xyz="-0.03 0 0.14"/>
      <geometry><box size="0.06 0.07 0.06"/></geometry>
      <material name="tool_heel"><color rgba="0.1 0.7 0.2 1"/></material>
    </visual>
  </link>
  <joint name="tool_joint" type="fixed">
    <parent link="lbr_iiwa_link_7"/>
    <child link="tool"/>
    <origin rpy="0 0 0" xyz="0 0 0.045"/>
  </joint>
"""


def decimate(source: Path, target: Path, triangles: int = TRIANGLES) -> int:
    """Write ``source`` with at most about ``triangles`` triangles to ``target`` (OBJ).

    Returns:
        The number of triangles kept.
    """
    mesh: Any = trimesh.load(source, force="mesh")
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces)  # no materials: the robot file colours the links
    mesh.merge_vertices()
    if len(mesh.faces) > triangles:
        mesh = mesh.simplify_quadric_decimation(face_count=triangles)
    text = trimesh.exchange.obj.export_obj(mesh, include_normals=False, include_color=False, digits=4)
    target.write_text(text if text.endswith("\n") else text + "\n")
    return len(mesh.faces)


def seven_joint_arm(source: Path) -> str:
    """The URDF of the bare arm with decimated visuals, no collision shapes, and the tool."""
    licence = "\n".join(re.findall(r"<!--.*?-->", source.read_text().split("<robot")[0], re.DOTALL))
    root = ElementTree.parse(source).getroot()
    for link in root.iter("link"):
        for collision in link.findall("collision"):
            link.remove(collision)
    for part in ElementTree.fromstring(f"<robot>{TOOL}</robot>"):
        root.append(part)
    ElementTree.indent(root)
    return f'<?xml version="1.0" ?>\n{licence}\n{ElementTree.tostring(root, encoding="unicode")}\n'


def twelve_joint_arm(source: Path) -> str:
    """The SDF of the arm with gripper with decimated meshes.

    Collision shapes stay: the file's inertias are placeholders (1 kg m² for a gripper of 200 g), and Bullet
    takes a body's inertia from its shapes.
    """
    head = source.read_text().split("<sdf")[0]
    root = ElementTree.fromstring(source.read_text()[len(head) :])
    for uri in root.iter("uri"):
        uri.text = f"meshes/{Path(uri.text or '').stem}.obj"
    ElementTree.indent(root)
    return f"{head.rstrip()}\n{ElementTree.tostring(root, encoding='unicode')}\n"


def panda_arm(source: Path) -> str:
    """The URDF of the Panda with decimated visuals and no collision shapes; its fingers are of its hand."""
    root = ElementTree.parse(source).getroot()
    links = {link.get("name"): link for link in root.findall("link")}
    for side, finger in ((1, "panda_leftfinger"), (-1, "panda_rightfinger")):
        visual = ElementTree.SubElement(links["panda_hand"], "visual")
        turned = 0.0 if side > 0 else math.pi
        ElementTree.SubElement(visual, "origin", rpy=f"0 0 {turned}", xyz=f"0 {side * OPEN} 0.0584")
        visual.extend(part for part in links[finger].findall("visual/*") if part.tag != "origin")
    for part, new in (("parent", {"link": "panda_link7"}), ("origin", {"xyz": FLANGE})):
        for own in root.findall(f"joint[@name='panda_hand_joint']/{part}"):
            own.attrib |= new
    for name in ("panda_link8", "panda_leftfinger", "panda_rightfinger", "panda_grasptarget"):
        root.remove(links[name])
        for joint in root.findall(f"joint[child]/child[@link='{name}']/.."):
            root.remove(joint)
    for link in root.iter("link"):
        for collision in link.findall("collision"):
            link.remove(collision)
    for mesh in root.iter("mesh"):
        mesh.set("filename", f"meshes/{Path(mesh.get('filename') or '').stem}.obj")
    ElementTree.indent(root)
    return f'<?xml version="1.0" ?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _decimated(sources: Iterable[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for mesh in sources:
        print(f"{mesh.stem}: {decimate(mesh, target / f'{mesh.stem}.obj')} triangles")


def main() -> None:
    """Rewrite ``assets/kuka`` and ``assets/panda``."""
    data = Path(pybullet_data.getDataPath())
    kuka, panda = data / "kuka_iiwa", data / "franka_panda"
    links, fingers = (sorted((kuka / "meshes").glob(kind)) for kind in ("link_*.obj", "finger_*.stl"))
    _decimated(links + fingers, ASSETS / "kuka" / "meshes")
    (ASSETS / "kuka" / "iiwa.urdf").write_text(seven_joint_arm(kuka / "model.urdf"))
    (ASSETS / "kuka" / "iiwa_gripper.sdf").write_text(twelve_joint_arm(kuka / "kuka_with_gripper2.sdf"))
    # Those that are to be seen are of many pieces, which decimation tears: those to be bumped into look the same.
    _decimated(sorted((panda / "meshes" / "collision").glob("*.obj")), ASSETS / "panda" / "meshes")
    (ASSETS / "panda" / "panda.urdf").write_text(panda_arm(panda / "panda.urdf"))


if __name__ == "__main__":
    main()
