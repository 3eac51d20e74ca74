"""What tool_generate.py draws of a folder of maps: the command line as a Drawing."""

from dataclasses import replace

from generation.control_files import load_controls, named_or_newest
from generation.draw_table import Drawing, group_into_batches
from generation.generate import sample
from generation.options import check_controls, read_options, refuse_given
from generation.table import read_rows
from generation.table_pictures import RowChecker, TablePicture
from jobs.devices import pick_device
from pictures.decoding import read_photo
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from reporting.picture_sheet import Tile

COLUMNS = "file", "row", "map", "photo", "prompt", "negative", "seed", "width", "height"
OF_FITTINGS = "category", "cut", "repaint", "segmenter"


def ask_for_maps(arguments) -> Drawing:
    """The maps of tool_generate.py's arguments under their controls, every row checked."""
    refuse_given(arguments, OF_FITTINGS, "is of try-on: name a try-on checkpoint by --control, or --fittings")
    options, files = read_options(arguments), named_or_newest(arguments.control)
    check_controls(options, files)
    rows, bad, unused = read_rows(options.maps, arguments.prompts, arguments.prompt, arguments.negative)
    loaded, controls = load_controls(files, arguments.config, pick_device(arguments.device), arguments.base)
    for note in loaded.notes:
        print(f"{loaded.source}: {note}", flush=True)
    checker = RowChecker(loaded, controls, options, HintEncoder.from_file(REGIONS_FILE))
    pictures, worse = checker.check(rows[: arguments.limit])
    rejected = sorted(bad + worse, key=lambda row: row.row)
    notes = [f"{loaded.source}: {len(pictures)} pictures to be there, {len(rejected)} rows rejected"]
    networks = {c.file.path: c.branch or loaded.model.control_model for c in controls}
    for path in (path for path, network in networks.items() if not network.is_trained):
        notes.append(f"{path} has an untrained control: pictures do not follow its maps yet")
    notes += [f"columns that are not used: {', '.join(unused)}"] if unused else []
    return Drawing(
        pictures=pictures,
        batches=group_into_batches(pictures, lambda p: (p.size, p.row.negative), arguments.batch_size),
        draw=lambda batch: draw_batch(checker, batch),
        rejected=[vars(row) for row in rejected],
        rejected_columns=("row", "map", "reason"),
        describe=describe,
        columns=COLUMNS,
        show=lambda picture: show(checker, picture),
        what="maps",
        notes=notes,
    )


def draw_batch(checker: RowChecker, batch: list[TablePicture]):
    """Pictures uint8 (n, H, W, 3) of one size and one negative prompt."""
    controls, photo = checker.inputs(batch)
    prompts, seeds = [p.row.prompt for p in batch], [p.seed for p in batch]
    settings = replace(checker.settings, negative_prompt=batch[0].row.negative)
    return sample(checker.loaded.model, controls, prompts, settings, batch[0].size, seeds=seeds, photo=photo)


def describe(picture: TablePicture) -> dict:
    row, (height, width) = picture.row, picture.size
    return dict(
        file=picture.name,
        row=row.number,
        map=row.map,
        photo=picture.photo,
        prompt=row.prompt,
        negative=row.negative,
        seed=picture.seed,
        width=width,
        height=height,
    )


def show(checker: RowChecker, picture: TablePicture) -> tuple[str, list[Tile]]:
    """A row's prompt, the first control's map, and the photo if any."""
    control = checker.controls[0]
    hint = control.read(picture.maps[0])
    colours = control.encoder.to_rgb(hint) if control.encoder else hint
    tiles = [Tile(pixels=colours, caption="map", is_map=True)]
    tiles += [Tile(pixels=read_photo(photo), caption="photo") for photo in [picture.photo] if photo]
    return picture.row.prompt, tiles
