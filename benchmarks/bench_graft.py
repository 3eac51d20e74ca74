"""Grafting a full-sized SD1.5: time and memory of tool_add_control.py against the original's way.

    python benchmarks/bench_graft.py                  # about 20 GB of temporary disk, minutes on a CPU
    python benchmarks/bench_graft.py --yaml models/cldm_tiny.yaml

The original's way loads the checkpoint, builds the model with random weights, copies every tensor, loads the
copies into the model and saves it. Both run in processes of their own, on the same random checkpoint.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def make_checkpoint(yaml, path):
    """A random base with every tensor of the yaml's model but the control branch's, float32."""
    import torch

    from cldm.model import create_model

    with torch.device("meta"):
        wanted = create_model(yaml).state_dict()
    base = {name: t for name, t in wanted.items() if not name.startswith("control_model.")}
    generator = torch.Generator().manual_seed(0)
    for name, tensor in base.items():
        if tensor.is_meta:
            base[name] = torch.empty(tensor.shape, device="cpu").normal_(std=0.02, generator=generator)
    torch.save({"state_dict": base}, path)


def ours(yaml, base, output):
    from cldm.weights.graft import add_control

    add_control(base, output, yaml)


def original(yaml, base, output):
    """The steps of the original's tool_add_control.py, on this project's model."""
    import torch

    from cldm.model import create_model

    model = create_model(yaml)
    pretrained = torch.load(base, weights_only=True)["state_dict"]
    target = {}
    for name, fresh in model.state_dict().items():
        source = name.replace("control_model.", "model.diffusion_model.", 1)
        target[name] = pretrained.get(source, fresh).clone()
    model.load_state_dict(target, strict=True)
    torch.save(model.state_dict(), output)


def anonymous_memory():
    """GiB of this process that no file backs (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def measure(way, yaml, base, output):
    """Run one way here; print its CPU seconds and its peaks in GiB: own memory, and with mapped files."""
    import resource

    peak, done = 0.0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, anonymous_memory())

    threading.Thread(target=watch, daemon=True).start()
    {"ours": ours, "original": original}[way](yaml, base, output)
    done.set()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([usage.ru_utime + usage.ru_stime, peak, usage.ru_maxrss / 2**20]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yaml", default=str(ROOT / "models" / "cldm_v15.yaml"), help="default: %(default)s")
    parser.add_argument("--folder", help="where the files are made and removed (default: the system's)")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.measure[0], arguments.yaml, *arguments.measure[1:])
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        base = Path(folder) / "base.ckpt"
        make_checkpoint(arguments.yaml, base)
        print(f"base of {base.stat().st_size / 2**30:.2f} GiB, {os.cpu_count()} CPUs")
        print(
            "| way | seconds | CPU seconds | own memory, GiB | and mapped files, GiB |\n|---|---|---|---|---|"
        )
        for way in ["original", "ours"] * arguments.rounds:
            output = Path(folder) / "out.ckpt"
            os.sync()
            start = time.time()
            command = [sys.executable, __file__, "--yaml", arguments.yaml, "--measure", way, base, output]
            lines = subprocess.run(
                list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            cpu, own, total = json.loads(lines.splitlines()[-1])
            seconds = time.time() - start
            print(f"| {way} | {seconds:.1f} | {cpu:.1f} | {own:.2f} | {total:.2f} |", flush=True)
            output.unlink()
    return None


if __name__ == "__main__":
    main()
