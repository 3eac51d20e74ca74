"""Many visitors at once: is every request answered with its own pictures, in order, in flat memory?

python benchmarks/load_demo.py                       # 8 clients, 2 minutes, the tiny model; Linux
python benchmarks/load_demo.py --seconds 30 --clients 4
python benchmarks/load_demo.py --page tryon          # the fitting room, the newest try-on checkpoint
python benchmarks/load_demo.py --page tryon --checkpoint runs/tryon_dolls/tryon.safetensors
"""

import argparse
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
COLOURS = np.uint8([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
SLACK = 1.0  # seconds by which requests must differ for their order to be judged: the map is uploaded before


@dataclass
class Answer:
    submitted: float
    finished: float
    is_own: bool


def write_map(folder):
    """The inputs of the page of maps."""
    from gradio_client import handle_file

    ids = np.zeros((128, 128), np.uint8)
    ids[40:75, 45:85], ids[75:115, 45:85] = 1, 2
    Image.fromarray(COLOURS[ids]).save(folder / "map.png")
    value = dict(background=handle_file(str(folder / "map.png")), layers=[], composite=None)
    return dict(input_image=value, prompt="a red top")


def write_fitting(folder):
    """The inputs of the fitting room: its first person and garment."""
    from gradio_client import handle_file

    sys.path.insert(0, str(ROOT))
    from demo.tryon.offers import draw_clothes, draw_people

    values = {}
    for name, draw in dict(person=draw_people, garment=draw_clothes).items():
        Image.fromarray(draw((128, 96))[0].pixels).save(folder / f"{name}.png")
        values[name] = handle_file(str(folder / f"{name}.png"))
    return values


@dataclass
class Page:
    """A page's script and endpoint, the endpoint's name of the sampling steps, and what writes its inputs."""

    script: str
    endpoint: str
    steps: str
    write: Callable


PAGES = dict(
    maps=Page("gradio_seg2image.py", "/process", "ddim_steps", write_map),
    tryon=Page("gradio_tryon.py", "/fit", "steps", write_fitting),
)


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--clients", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="sampling steps (default: %(default)s)")
    parser.add_argument("--page", choices=PAGES, default="maps", help="(default: %(default)s)")
    parser.add_argument("--checkpoint", metavar="FILE", help="of the fitting room; None takes the newest")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = started(Path(folder), arguments)
        try:
            answers, errors, memory = visited(url, process.pid, arguments, Path(folder))
        finally:
            process.terminate()
            process.wait()
    report(answers, errors, memory)


def started(folder, arguments):
    """(process, address) of the page on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "output.txt"
    with open(log, "w") as output:
        command = [sys.executable, PAGES[arguments.page].script, "--port", str(port), "--device", "cpu"]
        command += ["--checkpoint", arguments.checkpoint] if arguments.checkpoint else []
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    while "Open http" not in log.read_text():
        if process.poll() is not None:
            sys.exit(log.read_text())
        time.sleep(0.5)
    return process, f"http://127.0.0.1:{port}"


def visited(url, pid, arguments, folder):
    """(Answers, errors, megabytes of the server over time) of all clients' requests."""
    values = PAGES[arguments.page].write(folder) | dict(preview=False, num_samples=1)
    answers, errors, memory = told = [], [], []
    deadline = time.monotonic() + arguments.seconds
    clients = [
        threading.Thread(
            target=visit,
            args=(url, PAGES[arguments.page], values, number, deadline, arguments.steps, *told[:2]),
        )
        for number in range(arguments.clients)
    ]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        memory.append(megabytes(pid))
        time.sleep(1)
    return answers, errors, memory


def visit(url, page, values, number, deadline, steps, answers, errors):
    """One client: request after request, each with a seed of its own, until the deadline."""
    from gradio_client import Client

    client, draw = Client(url, verbose=False, analytics_enabled=False), random.Random(number)
    while time.monotonic() < deadline:
        seed, submitted = draw.randrange(2**31 - 1), time.monotonic()
        try:
            request = values | {page.steps: steps, "seed": seed}
            shown = client.predict(**request, api_name=page.endpoint)
            is_own = re.search(r"seed (\d+)", shown[-1]["caption"]).group(1) == str(seed)
            answers.append(Answer(submitted, time.monotonic(), is_own))
        except Exception as error:  # whatever it is, it is a request that was lost
            errors.append(f"{type(error).__name__}: {error}")


def megabytes(pid):
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def overtaken(answers):
    """How many pairs of requests finished in the other order than they were submitted in."""
    ordered = sorted(answers, key=lambda answer: answer.submitted)
    return sum(
        later.finished < earlier.finished - SLACK
        for i, earlier in enumerate(ordered)
        for later in ordered[i + 1 :]
        if later.submitted - earlier.submitted > SLACK
    )


def report(answers, errors, memory):
    waits = sorted(answer.finished - answer.submitted for answer in answers)
    print(f"{len(answers)} requests answered, {len(errors)} lost", *errors[:3], sep="\n  ")
    print(f"answers to another's request: {sum(not answer.is_own for answer in answers)}")
    print(f"pairs that overtook each other: {overtaken(answers)}")
    if waits:
        print(f"seconds to an answer: median {waits[len(waits) // 2]:.1f}, longest {waits[-1]:.1f}")
    parts = [memory[len(memory) * part // 4] for part in range(1, 4)] + memory[-1:]
    print("megabytes of the server after each quarter:", ", ".join(f"{part:.0f}" for part in parts))
    if errors or not all(answer.is_own for answer in answers):
        sys.exit("requests were lost or mixed up")


if __name__ == "__main__":
    main()
