"""The simulated robot: registers its environments with Gymnasium when imported."""

from gymnasium import register, registry

SHADOWLESS = "imitate/Shadowless-v0"
ENV_IDS = ("KukaTrack-v0", "TCNImitate-v0")

if "TCNImitate-v0" not in registry:  # in a checkout, `envs` is the same folder as `imitate.envs`
    register(
        id="KukaTrack-v0",
        entry_point=f"{__name__}.kuka_env:KukaEnv",
        vector_entry_point=f"{__name__}.vector:KukaVectorEnv",
    )
    register(
        id="TCNImitate-v0",
        entry_point=f"{__name__}.tcn_imitate:TCNImitateEnv",
        vector_entry_point=f"{__name__}.tcn_imitate:tcn_imitate_vector",
    )
    register(id=SHADOWLESS, entry_point=f"{__name__}.shadowless:shadowless")
