"""What the tests here train with. A helper, not a test."""

from finetune.config import RunConfig, make_config


def config(method: str = "lora", *, steps: int = 20, dtype: str = "auto") -> RunConfig:
    """The defaults, for so many steps."""
    return make_config(
        {"method": method, "training": {"epochs": steps, "max_steps": steps}, "compute": {"dtype": dtype}}
    )
