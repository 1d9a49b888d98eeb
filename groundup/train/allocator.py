"""Memory for training on a CPU: kept by the process instead of given back and asked for again each step."""

import ctypes
import sys

# Options of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Stop glibc from returning large blocks to the system.

    Every step frees and allocates the same activations and logits. By default each of these blocks is mapped anew, and
    the kernel clears it page by page. Does nothing without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)
    mallopt(M_TOP_PAD, 64 << 20)
