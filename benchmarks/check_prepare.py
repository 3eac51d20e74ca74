"""Is every planted fault found, and no good row lost? Are maps exact? Does a killed run end the same?

    python benchmarks/make_raw.py data/raw
    python benchmarks/make_raw.py data/raw_small --photos 120
    python benchmarks/check_prepare.py data/raw training/raw --kills data/raw_small    # exit code 1: missed

Prepares the raw folder with tool_prepare_data.py and compares with its faults.csv; compares maps and pictures
with those of a full-size decode by pycocotools and Pillow; kills preparation of the small folder at random
points with SIGKILL, resumes it, and compares every byte of it with an uninterrupted run.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]


def command(raw, out, *more) -> list[str]:
    return [sys.executable, str(ROOT / "tool_prepare_data.py"), str(raw), str(out), *map(str, more)]


def print_problems(title: str, problems: list[str]) -> int:
    print(f"{title}: {len(problems) or 'none'}")
    for problem in problems[:10]:
        print(f"    {problem}")
    return len(problems)


def check_faults(outcome, guessed: set[str]) -> int:
    """Print what was planted and found; returns how much is missed, but of guesses."""
    print("| fault | planted | found |\n|---|---|---|")
    missed = 0
    for kind, (planted, lost) in outcome.table().items():
        print(f"| {kind} | {planted} | {planted - len(lost)} | {' '.join(lost)}")
        missed += 0 if kind in guessed else len(lost)
    alarms = outcome.false_alarms()
    print(f"left out without a planted fault, of {outcome.num_without_fault()} photos without one:")
    for check, images in sorted(alarms.items()):
        print(f"    {check}: {len(images)}: {' '.join(images[:6])}")
    missed += print_problems("rows lost or rejected without reason", outcome.wrong_rows())
    return missed + print_problems("photos unaccounted for", outcome.wrong_pictures())


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder but those of a write that was killed."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def check_kills(raw: Path, whole: Path, seconds: float, num: int) -> int:
    """Kill and resume `num` runs at random points; returns how many end otherwise than the whole one."""
    import numpy as np

    quiet = subprocess.DEVNULL
    # of the same name, which the report gives as its title
    wanted, folder, wrong = files(whole), whole.parent / "killed" / whole.name, 0
    for number, share in enumerate(np.sort(np.random.default_rng(0).uniform(0.02, 0.98, num))):
        was_running = False
        while not was_running:
            shutil.rmtree(folder, ignore_errors=True)
            run = subprocess.Popen(command(raw, folder), stdout=quiet, stderr=quiet)
            time.sleep(share * seconds)
            run.kill()
            was_running = run.wait() < 0
            seconds *= 1 if was_running else 0.9
        before = len(files(folder))
        # the output must not depend on the number of processes either
        subprocess.run(
            command(raw, folder, "--workers", 1 + number % 3), check=True, stdout=subprocess.DEVNULL
        )
        found = files(folder)
        other = [name for name in wanted | found if wanted.get(name) != found.get(name)]
        wrong += bool(other)
        end = f"differs: {' '.join(other[:5])}" if other else f"the same {len(found)} files"
        print(f"    killed after {share * seconds:.1f} s with {before} files, resumed: {end}", flush=True)
    print(f"killed runs that end otherwise: {wrong or 'none'} of {num}")
    return wrong


def check_tables(raw: Path, folder: Path) -> int:
    """Feed it the 2020 edition's columns and a truncated label file; returns how many it takes."""
    taken = 0
    for kind, pattern in (("2020 columns", "2020"), ("truncated labels", "must list 46 categories")):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "train").mkdir(parents=True)
        header, *lines = (raw / "train.csv").read_text().split("\n", 3)[:3]
        labels = json.loads((raw / "label_descriptions.json").read_text())
        if kind == "2020 columns":
            header, lines = header + ",AttributesIds", [line + "," for line in lines]
        else:
            labels["categories"] = labels["categories"][:27]
        (folder / "train.csv").write_text("\n".join([header, *lines]) + "\n")
        (folder / "label_descriptions.json").write_text(json.dumps(labels))
        run = subprocess.run(command(folder, folder / "out"), capture_output=True, text=True)
        refused = run.returncode != 0 and pattern in run.stderr and not (folder / "out").exists()
        print(f"{kind}: {'refused' if refused else 'TAKEN'}: {run.stderr.strip()[:200]}")
        taken += not refused
    return taken


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=Path, metavar="RAW", help="small raw folder for killed runs")
    parser.add_argument("--num-kills", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--num-maps", type=int, default=60, help="maps to compare (default: %(default)s)")
    arguments = parser.parse_args()
    from prepare_truth import Outcome
    from whole_decode import check_decode, check_real

    subprocess.run(command(arguments.raw, arguments.out), check=True)
    outcome = Outcome(arguments.raw, arguments.out)
    missed = check_faults(outcome, guessed={"person_apart", "person_near"})
    missed += check_decode(outcome, arguments.num_maps) + check_real()
    missed += check_tables(arguments.raw, arguments.out.with_name(arguments.out.name + "_wrong"))
    if arguments.kills:
        whole = arguments.out.with_name(arguments.out.name + "_small")
        shutil.rmtree(whole, ignore_errors=True)
        start = time.monotonic()
        subprocess.run(command(arguments.kills, whole), check=True, stdout=subprocess.DEVNULL)
        missed += check_kills(arguments.kills, whole, time.monotonic() - start, arguments.num_kills)
    print(f"missed: {missed}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
