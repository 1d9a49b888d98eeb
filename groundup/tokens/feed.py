"""The stream's batches on the training device, in three ways that give the same tokens.

memory: read when asked for. prefetch: read by threads ahead of time, into pinned memory where there is a GPU.
resident: all training shards lie in the device's memory, and batches are gathered there.
"""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from groundup.tokens.stream import Stream

Kind = Literal["auto", "memory", "prefetch", "resident"]
AHEAD = 4  # batches that wait in line
SHARE = 0.25  # of the free device memory that resident shards may take


class Feed:
    """Batches by step. `waited` adds up the seconds in which the caller had to wait for data."""

    def __init__(self, stream: Stream, device: torch.device) -> None:
        self.stream, self.device, self.waited = stream, device, 0.0

    def batch(self, step: int) -> Tensor:
        """(sequences, context + 1) int64 tokens on the device."""
        start = time.perf_counter()
        batch = self._batch(step)
        self.waited += time.perf_counter() - start
        return batch

    def _batch(self, step: int) -> Tensor:
        return self._send(self._hold(self.stream.batch(step)))

    def _hold(self, array: np.ndarray) -> Tensor:
        """In pinned memory where there is a GPU: from other memory a copy waits for all that the GPU has yet to do."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def _send(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

    def close(self) -> None:
        """Stop what works in the background."""


class Prefetch(Feed):
    def __init__(self, stream: Stream, device: torch.device, workers: int = 1) -> None:
        super().__init__(stream, device)
        # A new thread would pin memory for the first GPU, whichever this process has.
        own = partial(torch.cuda.set_device, torch.cuda.current_device()) if device.type == "cuda" else None
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix="prefetch", initializer=own)
        self.line: deque[tuple[int, Future[Tensor]]] = deque()

    def _read(self, step: int) -> Tensor:
        return self._hold(self.stream.batch(step))

    def _batch(self, step: int) -> Tensor:
        if self.line and self.line[0][0] != step:  # someone went back, or ahead
            for _, future in self.line:
                future.cancel()
            self.line.clear()
        ahead = self.line[-1][0] + 1 if self.line else step
        while len(self.line) < AHEAD:
            self.line.append((ahead, self.threads.submit(self._read, ahead)))
            ahead += 1
        return self._send(self.line.popleft()[1].result())

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)


class Resident(Feed):
    def __init__(self, stream: Stream, device: torch.device) -> None:
        super().__init__(stream, device)
        sizes = [windows.size for windows in stream.windows]
        kind = stream.windows[0].shards[0].dtype
        # torch has no arithmetic for unsigned 16 bits: the bits are kept, and read as unsigned when they are gathered.
        signed = np.int16 if kind == np.uint16 else np.int32
        self.tokens = torch.empty(sum(sizes), dtype=torch.int16 if kind == np.uint16 else torch.int32, device=device)
        place = 0
        for windows in stream.windows:
            for shard in windows.shards:
                part = torch.from_numpy(np.array(shard).view(signed))
                self.tokens[place : place + len(part)].copy_(part)
                place += len(part)
        self.mask = (1 << 8 * kind.itemsize) - 1
        self.bases, self.sizes = np.cumsum([0, *sizes[:-1]]), np.array(sizes)
        self.inside = torch.arange(stream.context + 1, device=device)

    def _batch(self, step: int) -> Tensor:
        source, starts = self.stream.places(step)
        rows = np.stack([starts, self.sizes[source], self.bases[source]])
        start, size, base = self._send(self._hold(rows))[..., None]  # each (B, 1)
        return self.tokens[base + (start + self.inside) % size].long() & self.mask


def open_feed(kind: Kind, stream: Stream, device: torch.device) -> Feed:
    """auto: resident on a GPU where the shards fit, else prefetch there; memory on the CPU."""
    if kind == "auto":
        kind = "memory"
        if device.type == "cuda":
            held = sum(shard.nbytes for windows in stream.windows for shard in windows.shards)
            kind = "resident" if held <= SHARE * torch.cuda.mem_get_info(device)[0] else "prefetch"
    if kind == "resident":
        return Resident(stream, device)
    return Prefetch(stream, device) if kind == "prefetch" else Feed(stream, device)
