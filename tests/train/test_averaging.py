"""The mean of the last weights, also over a resume."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from asif_train.averaging import FILE, WeightAverage, newest_checkpoint


class Network(torch.nn.Linear):
    """A network of one weight, which is the number of the update."""

    def __init__(self) -> None:
        super().__init__(1, 1, bias=False)

    def update(self, step: int) -> None:
        self.weight.data.fill_(float(step))


def run(average: WeightAverage, folder: Path, first: int, last: int, save_at: int | None = None) -> Network:
    """Updates first..last of ten, with a checkpoint after one of them."""
    network, args = Network(), SimpleNamespace(output_dir=str(folder))
    state = SimpleNamespace(global_step=first - 1, max_steps=10, is_world_process_zero=True)
    average.on_train_begin(args, state, None)
    for step in range(first, last + 1):
        network.update(step)
        state.global_step = step
        given: Any = network
        average.on_step_end(args, state, None, model=given)
        if step == save_at:
            (folder / f"checkpoint-{step}").mkdir(parents=True)
            average.on_save(args, state, None)
    return network


def put(average: WeightAverage, network: Any) -> float:
    average.put(network)
    return network.weight.item()


@pytest.mark.parametrize(("share", "mean"), [(0.5, 8.0), (0.2, 9.5), (1.0, 5.5)])
def test_it_is_the_mean_over_the_last_share(tmp_path: Path, share: float, mean: float) -> None:
    average = WeightAverage(share)
    assert put(average, run(average, tmp_path, 1, 10)) == pytest.approx(mean)


@pytest.mark.parametrize("killed_at", [3, 7])
def test_a_resumed_run_ends_with_the_same_mean(tmp_path: Path, killed_at: int) -> None:
    run(WeightAverage(0.5), tmp_path, 1, killed_at, save_at=killed_at)
    resumed = WeightAverage(0.5)
    assert put(resumed, run(resumed, tmp_path, killed_at + 1, 10)) == pytest.approx(8.0)


def test_nothing_averaged_leaves_the_weights(tmp_path: Path) -> None:
    average = WeightAverage(0.5)
    assert put(average, run(average, tmp_path, 1, 4)) == 4.0


def test_the_newest_whole_checkpoint_is_by_number(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for number in (9, 10):
        (tmp_path / f"checkpoint-{number}").mkdir()
        (tmp_path / f"checkpoint-{number}" / FILE).touch()
    (tmp_path / "checkpoint-11").mkdir()  # killed amid writing
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
