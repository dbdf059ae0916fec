"""The policy's network: what it sees of an observation, and what it begins with."""

from __future__ import annotations

from typing import Any, cast

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import Schedule

from imitate.errors import UserError


class ImitationFeatures(BaseFeaturesExtractor):
    """What the policy's and the value function's networks see of an observation.

    Joints and velocities as they are; of the embeddings, the demonstration's and how far the robot's own is from
    them, scaled down to the size of the joints; of the poses read off the demonstration, if they are observed, how far
    the joints are from them, scaled up, the next frame's last. What to do next hangs on these differences, which a
    network would first have to learn to take.

    Args:
        space: Of ``PolicyObservation``, flat, of joints and velocities.
        joints: Number of joints.
        dim: Of the embeddings.
        lookahead: Frames of the demonstration that are observed.

    Raises:
        UserError: What is left of the space is neither poses nor nothing.
    """

    SCALE = 0.2
    POSE_SCALE = 10.0  # within a step, joints turn by about 0.1 rad

    def __init__(self, space: spaces.Box, joints: int, dim: int, lookahead: int = 1) -> None:
        observed, without = space.shape[0], 2 * joints + (1 + lookahead) * dim
        poses = lookahead * joints
        if observed not in (without, without + poses):
            raise UserError(
                f"observations of {observed} for {joints} joints, embeddings of {dim} and a lookahead of {lookahead}, "
                f"expected {without}, or with poses {without + poses}"
            )
        super().__init__(space, observed + (lookahead - 1) * dim)
        self.sizes = [joints, joints, observed - without, dim, lookahead * dim]
        self.aim = joints if observed > without else 0  # how many features say how far the next pose is

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Map (batch, observed) to (batch, features)."""
        joints, velocities, poses, own, targets = observations.split(self.sizes, dim=1)
        differences = _apart(targets, own)
        ahead = self.POSE_SCALE * _apart(poses, joints)
        return torch.cat([joints, velocities, self.SCALE * differences, self.SCALE * targets, ahead], dim=1)


def _apart(frames: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """How far (batch, frames * n) of several frames are from (batch, n), the last frame's first."""
    return (frames.unflatten(1, (frames.shape[1] // own.shape[1], own.shape[1])) - own[:, None]).flip(1).flatten(1)


class Shortcut(MlpExtractor):
    """Two hidden layers, and past them, for the policy, how far the joints are from the pose that they are to take."""

    def __init__(self, aim: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aim = aim
        self.latent_dim_pi += aim

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, features) to (batch, width + aim)."""
        return torch.cat([super().forward_actor(features), features[:, features.shape[1] - self.aim :]], dim=1)


class ImitationPolicy(ActorCriticPolicy):
    """A policy that begins, where it observes poses, with taking them: learned is what is better than that.

    A full action turns a joint by about ``1 / POSE_SCALE`` rad a step, whatever the control, so that the features
    that say how far it is are such actions already (residual policy learning, Silver et al., 2018).
    """

    features_extractor: ImitationFeatures

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Shortcut(
            self.features_extractor.aim, self.features_dim, self.net_arch, self.activation_fn, self.device
        )

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        aim = self.features_extractor.aim
        with torch.no_grad():
            weight = cast(torch.nn.Linear, self.action_net).weight
            weight[:, weight.shape[1] - aim :] = torch.eye(len(weight), aim)
