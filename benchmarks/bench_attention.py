"""PyTorch's CPU attention, forward and backward, in float32 and bfloat16: why `attend` takes float32 there.

python benchmarks/bench_attention.py
"""

import argparse
import statistics
import time


def milliseconds(shape, dtype, rounds):
    """Median of one forward and backward pass of (batch, heads, tokens, width)."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        scaled_dot_product_attention(q, k, v).sum().backward()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--rounds", type=int, default=15, help="of which the median counts (default: %(default)s)"
    )
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    print("| batch, heads, tokens, width | float32, ms | bfloat16, ms | ratio |\n|---|---|---|---|")
    for shape in ((32, 4, 256, 16), (32, 2, 256, 32), (32, 4, 77, 16), (1, 8, 1024, 40)):
        full, half = (
            milliseconds(shape, dtype, arguments.rounds) for dtype in (torch.float32, torch.bfloat16)
        )
        print(f"| {', '.join(map(str, shape))} | {full:.1f} | {half:.1f} | {half / full:.1f} |")


if __name__ == "__main__":
    main()
