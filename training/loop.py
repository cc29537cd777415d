"""
The training loop's machinery. Two cores are used as two processes of one thread each, which meet once a step: on a
machine that others use too, that loses far less than two threads which meet in every operation.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

PROCESSES = 2
SAVE_EVERY_SECONDS = 60


def launch(work: Callable, *args) -> None:
    """Runs work(rank, *args) in every process."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_start, (f"file://{folder}/meet", work, *args), PROCESSES)


def _start(rank: int, meet: str, work: Callable, *args) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=PROCESSES)
    work(rank, *args)


class Trainer:
    """AdamW with a warm-up and a cosine over `minutes`, a checkpoint a minute, resumed where it stopped."""

    def __init__(
        self,
        rank: int,
        path: str,
        minutes: float,
        rate: float,
        weight_decay: float,
        warmup_steps: int = 200,
        **modules: nn.Module,
    ):
        self.rank, self.path, self.seconds, self.modules = rank, Path(path), minutes * 60, modules
        self.rate, self.warmup_steps = rate, warmup_steps
        self.parameters = [p for module in modules.values() for p in module.parameters()]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=rate, betas=(0.9, 0.95), weight_decay=weight_decay)
        self.step, self.spent, self.last_save = 0, 0.0, time.time()
        if self.path.exists():
            saved = torch.load(self.path)
            for name, module in modules.items():
                module.load_state_dict(saved[name])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, self.spent = saved["step"], saved["spent"]
        self.origin = time.time() - self.spent

    @property
    def done(self) -> float:
        """The share of the training time that is over, the same in every process."""
        return self.spent / self.seconds

    def steps(self) -> Iterator[int]:
        """Counts the steps done, each after the caller has called `update` for it."""
        while self.done < 1:
            yield self.step
            if self.rank == 0 and time.time() - self.last_save > SAVE_EVERY_SECONDS:
                self.save()
        if self.rank == 0:
            self.save()

    def update(self, loss: torch.Tensor) -> None:
        rate = (
            self.rate
            * min(1, (self.step + 1) / self.warmup_steps)
            * (0.01 + 0.495 * (1 + math.cos(math.pi * self.done)))
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss.backward()
        self._average()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.step += 1

    def log(self, text: str) -> None:
        print(f"{self.spent:.0f}s step {self.step} {text}", flush=True)

    def save(self) -> None:
        state = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)
        self.last_save = time.time()

    def _average(self) -> None:
        """Averages the gradients of all processes, and the time with them."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads] + [torch.tensor([time.time() - self.origin])])
        dist.all_reduce(flat)
        flat /= PROCESSES
        self.spent = float(flat[-1])
        for grad, mean in zip(grads, flat.split([g.numel() for g in grads] + [1])):
            grad.copy_(mean.view_as(grad))
