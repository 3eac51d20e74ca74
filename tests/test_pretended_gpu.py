"""The pretended GPU refuses what a GPU refuses, allows what one allows, and leaves nothing behind."""

import copy
import io
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pretended_gpu import pretended_gpu

REFUSED = """
here + there
there + here[0]
there.add_(here)
here.add_(there)
here @ there
torch.cat([here, there])
torch.stack([there, here])
torch.where(here > 0, here, there)
here.masked_fill(there > 0, 1)
there[here.long()]
here.index_put((here.long(),), there)
torch.searchsorted(here, there)
F.linear(there, here[None])
F.mse_loss(here, there)
F.embedding(here.long(), there[:, None])
F.conv1d(there[None, None], here[None, None])
here.numpy()
np.asarray(here)
np.sum(here)
here.pin_memory()
here.normal_(generator=torch.Generator())
torch.randn(2, device="cuda", generator=torch.Generator())
torch.randn(2, generator=torch.Generator("cuda"))
torch.randint(0, 2, (2,), generator=torch.Generator("cuda"))
there.uniform_(generator=torch.Generator("cuda"))
here.requires_grad_().__setattr__("grad", there)
nn.Linear(3, 1).to("cuda")(there)
nn.Linear(3, 1)(here)
"""
OF_THE_GPU = """
here + there[0]
here * 2
here.add_(there[0])
here[torch.tensor([0, 2])]
here[there > 0]
here.index_put((torch.tensor([0]),), there[0])
here.masked_fill(here > 0, there[0])
here.copy_(there)
here.fill_(there[0])
here.to("cuda:0", torch.float16)
there.to("cuda", non_blocking=True)
there.cuda()
there.to(here)
there.type_as(here)
here.new_tensor([1.0])
here.new_zeros(2)
here.clone().data
torch.zeros_like(there, device="cuda")
torch.tensor([1, 2], device="cuda")
torch.tensor(here)
torch.as_tensor(np.ones(2), device="cuda")
torch.as_tensor(here)
torch.full((2,), 3, device="cuda")
torch.arange(3, device="cuda")
torch.randperm(3, device="cuda")
torch.randn(2, device="cuda", generator=torch.Generator("cuda").manual_seed(1))
torch.multinomial(here + 1, 1)
torch.linalg.norm(here)
copy.deepcopy(here)
F.scaled_dot_product_attention(*[here[None, None, :, None]] * 3)
nn.LSTM(3, 2).to("cuda")(here[None])[0]
nn.MultiheadAttention(3, 1).to("cuda")(*[here[None]] * 3)[0]
nn.BatchNorm1d(3).to("cuda")(here[None].repeat(2, 1))
nn.utils.rnn.pack_padded_sequence(here[None, :, None], torch.tensor([3]), batch_first=True).data
"""
OF_THE_CPU = """
here.cpu()
here.to("cpu", torch.float64)
here.to(there)
there.copy_(here)
there.to("cpu")
torch.zeros_like(here, device="cpu")
torch.tensor(here.tolist())
torch.tensor([here[0], here[1]])
torch.from_numpy(here.cpu().numpy())
there[here[0].long()]
"""


def lines(text):
    return [line for line in text.splitlines() if line]


def run(line):
    here, there = torch.arange(3.0, device="cuda"), torch.arange(3.0)
    return eval(line, dict(copy=copy, np=np, torch=torch, nn=nn, F=F, here=here, there=there))


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")
@pytest.mark.parametrize("line", lines(REFUSED))
def test_what_a_gpu_refuses_is_refused(gpu, line):
    with pytest.raises((RuntimeError, TypeError)):
        run(line)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")
@pytest.mark.parametrize(
    ("kind", "line"),
    [*(("cuda", line) for line in lines(OF_THE_GPU)), *(("cpu", line) for line in lines(OF_THE_CPU))],
)
def test_what_a_gpu_allows_stays_where_it_was_asked_for(gpu, kind, line):
    assert run(line).device.type == kind


def test_another_thread_has_the_same_gpu(gpu):
    found = []

    def work():
        x = torch.zeros(2, device="cuda")
        try:
            x + torch.zeros(2)
        except RuntimeError as error:
            found.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "at least two devices, cuda:0 and cpu" in found[0]


def test_numbers_are_those_of_the_cpu(gpu):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(144, 1)
    )
    x = torch.randn(2, 3, 8, 8)
    wanted = network(x)
    wanted.sum().backward()
    gradient = network[0].weight.grad.clone()
    parameters = [*network.parameters()]
    network.zero_grad()
    network.to("cuda")
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
    found = checkpoint(network, x.to("cuda"), use_reentrant=False)
    found.sum().backward()
    assert torch.equal(found.cpu(), wanted) and found.device.type == "cuda"
    assert torch.equal(network[0].weight.grad.cpu(), gradient)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_optimizers_scalers_and_autocast_work_on_it(gpu, fused, dtype):
    network = nn.Linear(4, 4).to(gpu)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cuda", init_scale=64, enabled=dtype == torch.float16)
    before = network.weight.detach().clone()
    with torch.autocast("cuda", dtype or torch.float16, enabled=dtype is not None):
        found = network(torch.ones(1, 4, device=gpu))
    assert found.dtype == (dtype or torch.float32)
    scaler.scale(found.float().square().sum()).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert (network.weight != before).all() and network.weight.grad.device == gpu


def test_gradients_go_back_over_both_devices(gpu):
    x = torch.ones(2, requires_grad=True)
    (x.to("cuda") * 2).cpu().sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [2, 2]


def test_the_gpu_has_random_numbers_of_its_own(gpu):
    torch.manual_seed(3)
    state, first = torch.cuda.get_rng_state(), torch.rand(3, device="cuda")
    alone = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(3), alone)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.rand(3, device="cuda"), first)


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_file_goes_back_to_the_device_it_came_from(gpu, weights_only):
    written = io.BytesIO()
    both = dict(a=nn.Linear(2, 2).to(gpu).state_dict(), b=torch.ones(2))
    torch.save(both, written)
    for wanted, options in (("cuda", {}), ("cpu", dict(map_location="cpu"))):
        written.seek(0)
        read = torch.load(written, weights_only=weights_only, **options)
        assert read["a"]["weight"].device.type == wanted and read["b"].device.type == "cpu"


def test_nothing_of_it_is_left_behind():
    before = torch.Tensor.to, torch.Generator, torch.cuda.is_available(), torch.load
    with pretended_gpu():
        assert torch.cuda.is_available()
    assert (torch.Tensor.to, torch.Generator, torch.cuda.is_available(), torch.load) == before
    network = nn.Linear(2, 2)
    network(torch.ones(1, 2)).sum().backward()
    assert network.weight.grad.device.type == "cpu"
