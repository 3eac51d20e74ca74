"""Image metrics on a GPU mix no devices, and measure what they do on the CPU: on the one of pretended_gpu."""

import numpy as np
import torch
from torchvision.models import Inception3, alexnet

from evaluation.inception import Inception
from evaluation.lpips import Lpips
from small_clip import save_small_clip
from small_evaluation import command_line, results, write_evaluation

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


def test_lpips_and_inception_measure_the_same(gpu, tmp_path):
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    torch.save(Inception3(init_weights=False).state_dict(), tmp_path / "inception.pth")
    cpu, found = (
        (
            Lpips.load(tmp_path / "alexnet.pth", device)(PICTURES, PICTURES[::-1].copy()),
            Inception.load(tmp_path / "inception.pth", device)(PICTURES),
        )
        for device in ("cpu", gpu)
    )
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(cpu, found, strict=True))


def test_a_whole_evaluation_with_clip_and_lpips_runs_on_a_gpu(gpu, tmp_path, monkeypatch):
    folder = write_evaluation(tmp_path)
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    clip = save_small_clip(tmp_path / "clip")
    evaluate = command_line(folder, monkeypatch)
    out = evaluate(tmp_path / "out", "--clip", clip, "--lpips", tmp_path / "alexnet.pth", "--device", "cuda")
    measured = {name.split(" (")[0] for name in results(out)["metrics"]}
    assert {"mIoU", "LPIPS", "CLIP score", "FID", "KID"} <= measured
