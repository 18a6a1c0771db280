"""The target's normal prompts: a few of its training images, drawn several times."""

import pandas as pd
import torch

from stages.core.running.errors import UserError


def draw_prompts(images: pd.DataFrame, *, shots: int, draws: int, generator: torch.Generator) -> list[list[str]]:
    """The image_ids of each draw, sorted; only images of split train, which are normal.

    Raises:
        UserError: there are fewer of them than shots.
    """
    train = sorted(images.loc[images["split"] == "train", "image_id"])
    if len(train) < shots:
        raise UserError(
            f"profile: inctrl.shots: {shots} normal prompts are wanted, the category has {len(train)} training "
            "images: lower it or add images"
        )
    return [
        sorted(train[i] for i in torch.randperm(len(train), generator=generator)[:shots].tolist()) for _ in range(draws)
    ]
