"""The paper's arm as PyBullet ships it, with twelve times the triangles of the one in ``assets``: to compare with."""

from dataclasses import replace
from pathlib import Path

import pybullet_data

from .kuka import ARMS

PAPER_ARM = replace(
    ARMS["iiwa_gripper"], file=str(Path(pybullet_data.getDataPath()) / "kuka_iiwa" / "kuka_with_gripper2.sdf")
)
