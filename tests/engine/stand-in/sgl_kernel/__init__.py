"""Stands in for `sgl_kernel`, whose wheels need CUDA or AMX: only what serving on a CPU touches is implemented.

Every other name exists, because SGLang imports many that it never calls here, and raises when it is called.
"""

import torch

WORD = 0xFFFFFFFF


def assign_req_to_token_pool_cpu(rows, table, starts, ends, slots, _row_length):
    """Writes the cache slots of each request's new tokens into its row of the table."""
    used = 0
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist()):
        table[row, start:end] = slots[used : used + end - start].to(table.dtype)
        used += end - start


def _rotated(value, bits):
    return ((value << bits) | (value >> (32 - bits))) & WORD


def _product(value, factor):
    """A product of 32 bits, from halves that do not overflow 64."""
    low = (value & 0xFFFF) * factor
    high = (((value >> 16) * factor) & 0xFFFF) << 16
    return (low + high) & WORD


def _mixed(state, key):
    key = _product(_rotated(_product(key, 0xCC9E2D51), 15), 0x1B873593)
    return (_product(_rotated(state ^ key, 13), 5) + 0xE6546B64) & WORD


def _murmur3(seeds, positions, columns):
    """MurmurHash3 of seed (64 bits), position and column, as the engine's Triton kernel computes it for seeded sampling."""
    seed = seeds.to(torch.int64).view(-1, 1)
    state = torch.zeros_like(seed)
    keys = (
        seed & WORD,
        (seed >> 32) & WORD,
        positions.to(torch.int64).view(-1, 1) & WORD,
        columns.to(torch.int64).view(1, -1) & WORD,
    )
    for key in keys:
        state = _mixed(state, key)
    state = state ^ 16  # the length in bytes
    state = _product(state ^ (state >> 16), 0x85EBCA6B)
    state = _product(state ^ (state >> 13), 0xC2B2AE35)
    return (state ^ (state >> 16)).to(torch.uint32)


_library = torch.library.Library("sgl_kernel", "FRAGMENT")
_library.define("murmur_hash32_cpu(Tensor seed, Tensor positions, Tensor col_indices) -> Tensor")
_library.impl("murmur_hash32_cpu", _murmur3, "CPU")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*_, **__):
        raise NotImplementedError(f"sgl_kernel.{name} has no stand-in for a CPU")

    missing.__name__ = name
    return missing
