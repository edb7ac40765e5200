"""The mean of the weights along the last part of training, which generalises better than where training ends."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, TrainerCallback

FILE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """Averages the weights after each of the last `share` (0..1) of the updates.

    Source: Izmailov et al. (2018), Averaging Weights Leads to Wider Optima and Better Generalization. The mean is kept
    beside each checkpoint, so that a resumed run ends with that of an unbroken one. It is written last: a checkpoint
    without the file is one that a kill left unfinished.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._count = 0
        self._mean: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer, also after a resume, when `state` is that of the checkpoint."""
        if state.global_step:
            with safe_open(_checkpoint(args, state) / FILE, framework="pt") as file:
                self._count = int((file.metadata() or {})["count"])
                self._mean = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: PreTrainedModel, **kwargs: Any) -> None:
        """Called by the Trainer after each update."""
        if state.global_step <= state.max_steps * (1 - self._share):
            return
        self._count += 1
        for name, value in model.named_parameters():
            now = value.detach()
            if name in self._mean:
                self._mean[name].lerp_(now, 1 / self._count)
            else:
                self._mean[name] = now.clone()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer when all else of a checkpoint is written."""
        if state.is_world_process_zero:
            file = _checkpoint(args, state) / FILE
            part = file.with_suffix(".part")
            save_file(self._mean, part, metadata={"count": json.dumps(self._count)})
            part.rename(file)

    @torch.no_grad()
    def put(self, network: PreTrainedModel) -> None:
        """Give the network the mean weights; it keeps its own where nothing was averaged."""
        for name, value in network.named_parameters():
            if name in self._mean:
                value.copy_(self._mean[name])


def newest_checkpoint(checkpoints: Path) -> str | None:
    """The newest whole checkpoint in a folder of them, None if there is none."""
    whole = [file.parent for file in checkpoints.glob(f"checkpoint-*/{FILE}")]
    return str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
