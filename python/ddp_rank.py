"""A rank of the group of `crates/torch-dist/examples/ddp.rs`, written in plain PyTorch.

    python python/ddp_rank.py RANK RANKS HOST PORT

Trains the same model with DistributedDataParallel and prints the same digest of its parameters at the end.
"""

import hashlib
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def main(rank: int, size: int, host: str, port: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://{host}:{port}", rank=rank, world_size=size)
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(8, 2), gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    inputs = torch.randn(64, 8)
    targets = (inputs.sum(dim=-1) > 0).long()
    for step in range(1, 31):
        optimizer.zero_grad(set_to_none=False)
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"rank {rank} step {step} loss {loss.item():.4f}")
    values = b"".join(parameter.detach().numpy().astype("<f4").tobytes() for parameter in model.module.parameters())
    dist.barrier()
    # Without it a rank aborts now and then while the interpreter ends.
    dist.destroy_process_group()
    print(f"rank {rank} parameters sha256 {hashlib.sha256(values).hexdigest()}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
