"""Write try-on dolls in VITON-HD's and DressCode's layouts, so that readers of the downloads read them."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.parallel import run_jobs
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from paperdoll.labels import ATR, BODY_25, COCO_18, LIP, list_keypoints
from paperdoll.scene import draw_product
from paperdoll.tryon import CATEGORIES, SIZE, arrange

CHUNK = 100
DRAWN = "drawn.json"  # what to redraw each person by: photos' paths in the folder -> seed, index, size
DRESS_CODE_FOLDERS = {"upper": "upper_body", "lower": "lower_body", "dress": "dresses"}
BONES = [
    (1, 2),
    (2, 3),
    (3, 4),
    (1, 5),
    (5, 6),
    (6, 7),
    (1, 8),
    (8, 9),
    (9, 10),
    (1, 11),
    (11, 12),
    (12, 13),
    (1, 0),
]
GREY = 128
NUM_LABELS = 20  # of LIP; ATR has fewer


def _encode(array, form: str = "PNG") -> bytes:
    data, options = io.BytesIO(), dict(quality=95, subsampling=0) if form == "JPEG" else {}
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(data, form, **options)
    return data.getvalue()


def colour_labels(ids) -> Image.Image:
    """A label map uint8 (H, W) as a palette picture in which labels can be told apart."""
    image = Image.fromarray(ids, "P")
    hues = [(0, 0, 0)] + [
        tuple(int(127 + 120 * np.sin(i * k)) for k in (1.0, 2.3, 4.1)) for i in range(1, NUM_LABELS)
    ]
    image.putpalette(sum(hues, ()))
    return image


def draw_skeleton(keypoints, size) -> np.ndarray:
    """Bones and joints of COCO-18 rows (x, y, score), uint8 (H, W, 3) on black."""
    from PIL import ImageDraw

    image = Image.new("RGB", (size[1] * 4, size[0] * 4))
    pen = ImageDraw.Draw(image)
    for number, (a, b) in enumerate(BONES):
        (ax, ay, seen), (bx, by, also) = keypoints[a], keypoints[b]
        if seen and also:
            hue = tuple(int(127 + 127 * np.cos(number * 0.5 + k)) for k in (0, 2.1, 4.2))
            pen.line([ax * 4, ay * 4, bx * 4, by * 4], fill=hue, width=8)
    return np.asarray(image.reduce(4))


def _write_viton_hd(folder: Path, split: str, seed: int, start: int, stop: int, size) -> int:
    for index in range(start, stop):
        fitting, name = arrange(seed, index, size), name_of(seed, index)
        worn, product, mask = fitting.wear(), draw_product(fitting.garment, size), fitting.agnostic_mask()
        photo, parse = worn.drawing.photo, worn.drawing.labels(LIP)
        agnostic = np.where(mask[:, :, None], GREY, photo).astype(np.uint8)
        body, coco = (list_keypoints(worn.keypoints, names, size) for names in (BODY_25, COCO_18))
        # the data set's own keypoints are those of 1024 x 768 pictures
        scale = 1024 / size[0]
        scaled = [[x * scale, y * scale, score] for x, y, score in body]
        people = dict(version=1.3, people=[dict(pose_keypoints_2d=sum(scaled, []))])
        files = {
            f"image/{name}.jpg": _encode(photo, "JPEG"),
            f"cloth/{name}.jpg": _encode(product.photo, "JPEG"),
            f"cloth-mask/{name}.jpg": _encode(product.mask(garment=1).astype(np.uint8) * 255, "JPEG"),
            f"image-parse-v3/{name}.png": _encode(colour_labels(parse)),
            f"image-parse-agnostic-v3.2/{name}.png": _encode(
                colour_labels(np.where(mask, 0, parse).astype(np.uint8))
            ),
            f"agnostic-v3.2/{name}.jpg": _encode(agnostic, "JPEG"),
            f"agnostic-mask/{name}_mask.png": _encode(mask.astype(np.uint8) * 255),
            f"openpose_img/{name}_rendered.png": _encode(draw_skeleton(coco, size)),
            f"openpose_json/{name}_keypoints.json": json.dumps(people).encode(),
        }
        _write_all(folder / split, files)
    return stop - start


def _write_dress_code(folder: Path, category: str, seed: int, start: int, stop: int, size) -> int:
    for index in range(start, stop):
        fitting, name = arrange(seed, index, size, category), number_of(seed, index)
        worn, product = fitting.wear(), draw_product(fitting.garment, size)
        keypoints = list_keypoints(worn.keypoints, COCO_18, size)
        # the data set's own keypoints are those of 512 x 384 pictures
        scale = 512 / size[0]
        scaled = [
            [x * scale, y * scale, score, number if score else -1]
            for number, (x, y, score) in enumerate(keypoints)
        ]
        files = {
            f"images/{name}_0.jpg": _encode(worn.drawing.photo, "JPEG"),
            f"images/{name}_1.jpg": _encode(product.photo, "JPEG"),
            f"keypoints/{name}_2.json": json.dumps(dict(keypoints=scaled)).encode(),
            f"label_maps/{name}_4.png": _encode(colour_labels(worn.drawing.labels(ATR))),
            f"skeletons/{name}_5.jpg": _encode(draw_skeleton(keypoints, size), "JPEG"),
        }
        _write_all(folder / DRESS_CODE_FOLDERS[category], files)
    return stop - start


def _write_all(folder: Path, files: dict[str, bytes]):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / path, data)


def _write_drawn(folder: Path, seed: int, size, paths: dict[str, int]):
    """DRAWN of people's photos and their indices."""
    drawn = {path: dict(seed=seed, index=index, size=list(size)) for path, index in paths.items()}
    lines = [f"{json.dumps(path)}: {json.dumps(facts)}" for path, facts in drawn.items()]
    write_atomically(folder / DRAWN, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def name_of(seed: int, index: int) -> str:
    """A picture's name, digits and an underscore as the data sets' own."""
    return f"{seed:03d}{index:05d}_00"


def number_of(seed: int, index: int) -> str:
    """What the names of a person's files begin with in DressCode's layout."""
    return f"{seed:02d}{index:05d}"


def _run(function, jobs, workers, folder, total):
    progress = Progress(str(folder), total, "people")
    for num in run_jobs(function, jobs, workers):
        progress.add(num)


def _chunks(start: int, stop: int):
    return [(a, min(a + CHUNK, stop)) for a in range(start, stop, CHUNK)]


def make_viton_hd(folder, num_train: int, num_test: int, seed: int = 0, size=SIZE, workers: int = 1) -> Path:
    """Write dolls in VITON-HD's layout: train and test, whose pairs file names the next person's garment."""
    folder = Path(folder)
    splits = {"train": (0, num_train), "test": (num_train, num_train + num_test)}
    jobs = [(folder, split, seed, *chunk, size) for split, ends in splits.items() for chunk in _chunks(*ends)]
    _run(_write_viton_hd, jobs, workers, folder, num_train + num_test)
    people = {f"{s}/image/{name_of(seed, i)}.jpg": i for s, ends in splits.items() for i in range(*ends)}
    _write_drawn(folder, seed, size, people)
    for split, (start, stop) in splits.items():
        names = [name_of(seed, index) for index in range(start, stop)]
        lines = [f"{a}.jpg {b}.jpg\n" for a, b in zip(names, names[1:] + names[:1], strict=True)]
        write_atomically(folder / f"{split}_pairs.txt", "".join(lines).encode())
    return folder


def make_dress_code(
    folder, num_train: int, num_test: int, seed: int = 0, size=SIZE, workers: int = 1
) -> Path:
    """Write dolls in DressCode's layout: so many people in each of its three categories."""
    folder, number = Path(folder), num_train + num_test
    jobs = [(folder, c, seed, *chunk, size) for c in CATEGORIES for chunk in _chunks(0, number)]
    _run(_write_dress_code, jobs, workers, folder, 3 * number)
    people = {
        f"{name}/images/{number_of(seed, i)}_0.jpg": i
        for name in DRESS_CODE_FOLDERS.values()
        for i in range(number)
    }
    _write_drawn(folder, seed, size, people)
    tables = {name: [] for name in ("train_pairs", "test_pairs_paired", "test_pairs_unpaired")}
    for which, category in enumerate(CATEGORIES):
        own = {name: [] for name in tables}
        for index in range(number):
            name, first = number_of(seed, index), num_train if index >= num_train else 0
            span = num_test if first else num_train
            other = number_of(seed, first + (index - first + 1) % span)
            paired, unpaired = f"{name}_0.jpg {name}_1.jpg", f"{name}_0.jpg {other}_1.jpg"
            for table, line in (
                [("train_pairs", paired)]
                if index < num_train
                else [("test_pairs_paired", paired), ("test_pairs_unpaired", unpaired)]
            ):
                own[table].append(f"{line}\n")
                tables[table].append(f"{line} {which}\n")
        for table, lines in own.items():
            write_atomically(folder / DRESS_CODE_FOLDERS[category] / f"{table}.txt", "".join(lines).encode())
    for table, lines in tables.items():
        write_atomically(folder / f"{table}.txt", "".join(lines).encode())
    return folder
