"""A rank of the two groups of `crates/torch-dist/examples/groups.rs`, written in plain PyTorch.

    python python/groups_rank.py RANK RANKS HOST PORT

The gradient group is PyTorch's default one, and the control group is the first that `new_group` makes. Prints the same sums over each.
"""

import sys

import torch
import torch.distributed as dist


def main(rank: int, size: int, host: str, port: int) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://{host}:{port}", rank=rank, world_size=size)
    control = dist.new_group(backend="gloo")
    gradient = torch.tensor([rank + 0.5], dtype=torch.float64)
    dist.all_reduce(gradient)
    count = torch.tensor([rank + 1])
    dist.all_reduce(count, group=control)
    print(f"rank {rank} sums {gradient.item():.1f} {count.item()}")
    # A rank leaves by a barrier of the control group.
    dist.barrier(group=control)
    # Without it a rank aborts now and then while the interpreter ends.
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
