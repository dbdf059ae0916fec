"""The ways to learn that a benchmark compares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imitate.policy.ppo import Learner
from imitate.reward.rewards import HuberReward

from .. import embed, imitate, record

RECORD, EMBED, IMITATE = (module.PRESETS["default"][1] for module in (record, embed, imitate))
PLAIN_EMBED, PLAIN = (module.PRESETS["plain"][1] for module in (embed, imitate))
PAPER_RECORD, PAPER_EMBED, PAPER = (module.PRESETS["paper"][1] for module in (record, embed, imitate))
# Of a policy that begins with nothing. Fewer environments, longer rollouts: with the default's it is slower.
ALONE = Learner(n_envs=16, n_steps=128, learning_rate=1e-3, log_std=-1.0)
REWARD_ALONE = replace(IMITATE, steps=150_000, practice=0, observe_pose=False, learner=ALONE)
DISTANCE = HuberReward(alpha=0, beta=1, gamma=0, scale=0.1)


@dataclass(frozen=True)
class Method:
    """A way to learn: the settings of each stage.

    Attributes:
        says: What it is.
        embed: The encoder's, whose name is that of its folder. Methods with equal ones share it.
        imitate: The learner's.
        record: The recording's; None: the run's own.
    """

    says: str
    embed: embed.Settings = EMBED
    imitate: imitate.Settings = IMITATE
    record: record.Settings | None = None


METHODS = {
    "tcn_self": Method("the defaults: with self-regression"),
    "tcn": Method("the plain time-contrastive network as encoder", replace(PLAIN_EMBED, name="embed-plain")),
    "tcn_pixels": Method(
        "from pixels and time alone: no joint in the encoder, no pose head asked, nothing imagined; guesses are of its "
        "own recordings, and better poses are found by practice",
        replace(PLAIN_EMBED, name="embed-plain"),
        PLAIN,
    ),
    "oracle": Method("the true joint error as reward", imitate=replace(IMITATE, oracle=True)),
    "torque": Method("joint torques", imitate=replace(IMITATE, control="torque")),
    "paper": Method(
        "the paper's recipe at 64x64 pixels, with the small encoder and 50 epochs: 190 videos, triplets, SGD, "
        "12 joints, torques, gamma 0.99",
        replace(PAPER_EMBED, encoder="conv", epochs=50),
        PAPER,
        replace(PAPER_RECORD, image_size=RECORD.image_size),
    ),
    "guesses": Method(
        "nothing imagined: poses are guessed by the pose head, and found by practice",
        imitate=replace(IMITATE, guess="head"),
    ),
    "reward_alone": Method(
        "the same guesses, only to start episodes at: none is observed, nothing practised; 150,000 steps",
        imitate=replace(REWARD_ALONE, guess="head"),
    ),
    # What one setting changes. Those of the learner first: they share the default encoder.
    "no_pose": Method("no pose is observed; 150,000 steps, wider exploration", imitate=REWARD_ALONE),
    "first_frame": Method("no episode starts midway", imitate=replace(IMITATE, midway=0.0)),
    "gamma_0.99": Method("discount 0.99", imitate=replace(IMITATE, learner=Learner(gamma=0.99))),
    "distance": Method("minus the distance as reward", imitate=replace(IMITATE, reward=DISTANCE)),
    "difference": Method(
        "how much nearer each step came as reward",
        imitate=replace(IMITATE, reward_form="difference", reward=DISTANCE),
    ),
    "progress": Method("frames advanced as reward", imitate=replace(IMITATE, reward_form="progress")),
    "square": Method("minus the squared distance as reward", imitate=replace(IMITATE, reward=HuberReward(1, 0, 0))),
    "give_up": Method(
        "early termination, with a bonus for following",
        imitate=replace(IMITATE, give_up=10.0, reward=HuberReward(bonus=1.0)),
    ),
    "triplet": Method(
        "triplets instead of infonce, with self-regression", replace(EMBED, objective="triplet", name="embed-triplet")
    ),
    "no_noise": Method("no noise in the encoder's training", replace(EMBED, noise=0.0, name="embed-no-noise")),
    "aliased": Method(
        "pictures whose edges jump from pixel to pixel", record=replace(RECORD, cameras=("front_aliased",))
    ),
    "pixels_96": Method("images of 96x96", record=replace(RECORD, image_size=96)),
    "videos_300": Method("300 videos", record=replace(RECORD, train=300)),
}
HEADLINE = ("tcn_self", "tcn", "tcn_pixels", "guesses", "reward_alone", "oracle", "torque", "paper")
ABLATIONS = tuple(name for name in METHODS if name not in HEADLINE)
