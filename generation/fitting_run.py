"""What tool_generate.py draws of people and garments: the command line as a Drawing."""

from dataclasses import replace
from pathlib import Path

from annotator.agnostic.photos import USUAL_WEIGHTS, PersonFinder
from annotator.agnostic.style import read_styles
from cldm.weights.load import find_data, newest_checkpoint
from cldm.weights.load_tryon import LoadedTryon, load_tryon, puts_garments_on
from generation.control_files import ControlFile, digest, load_branches, parse_controls
from generation.draw_table import Drawing, group_into_batches
from generation.fitting import NO_GUESS, FittingSettings
from generation.fitting_items import choose_size, reads_pose
from generation.fitting_pairs import BY_MASK, PreparedFolder, TwoFolders, read_pairs
from generation.fitting_pictures import FittingPicture, PairChecker, PairOptions
from generation.inpainting import named_regions
from generation.options import check_acting, check_ranges, refuse_given
from generation.table import check_text
from jobs.devices import pick_device
from pictures.regions import standard_regions

COLUMNS = "file", "row", "person", "garment", "category", "mask", "prompt", "seed", "width", "height"
OF_MAPS = "maps", "prompts", "negative", "photo", "feather", "size"


def wants_fittings(arguments) -> bool:
    """Whether tool_generate.py's arguments are about people and garments."""
    if any((arguments.fittings, arguments.people, arguments.garments, arguments.pairs)):
        return True
    named = [ControlFile.parse(text).path for text in arguments.control]
    return any(puts_garments_on(path, arguments.config) for path in named if Path(path).exists())


def ask_for_fittings(arguments) -> Drawing:
    """The people and garments of tool_generate.py's arguments, every pair checked."""
    refuse_given(arguments, OF_MAPS, "is about maps, not about people and garments")
    check_ranges(arguments)
    check_text("--prompt", arguments.prompt)
    for option in ("inpaint", "cut"):
        check_regions(option, getattr(arguments, option))
    checkpoint, files = split_controls(arguments)
    settings = FittingSettings(
        steps=arguments.sampling_steps,
        sampler=arguments.sampler or "ddim",
        repaint=arguments.repaint,
        strength=1.0 if arguments.denoise is None else arguments.denoise,
    )
    check_acting(settings.steps, settings.strength, files)
    if arguments.segmenter is not None and not arguments.segmenter.exists():
        raise FileNotFoundError(
            f"--segmenter {arguments.segmenter} does not exist: docs/annotators.md says what finds people"
        )
    source = open_source(arguments, checkpoint)
    rows, bad, unused = read_pairs(arguments.pairs, source.own)
    device = pick_device(arguments.device)
    loaded = load_tryon(checkpoint, arguments.config, device, arguments.base)
    for note in loaded.notes:
        print(f"{loaded.source}: {note}", flush=True)
    check_source(source, loaded, arguments.inpaint)
    if arguments.guidance is not None:
        settings = replace(settings, guidance=loaded.model.guidance.rescaled(arguments.guidance))
    options = PairOptions(
        settings=settings,
        seed=arguments.seed,
        num=arguments.num,
        inpaint=arguments.inpaint,
        grow=arguments.grow,
        cut=arguments.cut,
        prompt=arguments.prompt,
    )
    checker = PairChecker(
        loaded,
        load_branches(files, loaded),
        source,
        options,
        dict(file=str(checkpoint), sha256=digest(checkpoint)),
        lambda: find_annotators(arguments.segmenter, loaded, device),
    )
    pictures, worse = checker.check(rows[: arguments.limit])
    rejected = sorted(bad + worse, key=lambda row: row.row)
    notes = [f"{loaded.source}: {len(pictures)} pictures to be there, {len(rejected)} pairs rejected"]
    notes += [f"columns that are not used: {', '.join(unused)}"] if unused else []
    return Drawing(
        pictures=pictures,
        batches=group_into_batches(pictures, lambda picture: picture.size, arguments.batch_size),
        draw=checker.draw,
        rejected=[vars(row) for row in rejected],
        rejected_columns=("row", "person", "garment", "reason"),
        describe=describe,
        columns=COLUMNS,
        show=checker.show,
        what="pairs",
        notes=notes,
    )


def split_controls(arguments) -> tuple[Path, list[ControlFile]]:
    """The try-on checkpoint among a command line's controls, else the newest in runs/; and the others."""
    files = parse_controls(arguments.control)
    # where --config names the recipe, the first is its checkpoint
    of_tryon = files[:1] if arguments.config else [file for file in files if puts_garments_on(file.path)]
    others = [file for file in files if file not in of_tryon]
    if len(of_tryon) > 1:
        raise ValueError(f"one try-on checkpoint draws, got {of_tryon[0].path} and {of_tryon[1].path}")
    for file in of_tryon:
        if file != ControlFile(file.path):
            raise ValueError(f"{file.path} is of try-on, which has neither strength, range nor maps")
    for file in others:
        if file.guess_mode:
            raise ValueError(f"--control {file.path}: {NO_GUESS}")
    found = of_tryon[0].path if of_tryon else newest_checkpoint(names=("tryon",))
    if found is None:
        raise FileNotFoundError(
            "there is no trained try-on in runs/: `make tryon` trains one, or name a file by --control FILE"
        )
    return Path(found), others


def open_source(arguments, checkpoint) -> PreparedFolder | TwoFolders:
    """The folders of a command line, else the training folder that the checkpoint was trained on."""
    if not (arguments.people or arguments.garments):
        refuse_given(arguments, ("category",), "is about --people and --garments: a training folder says it")
        folder = arguments.fittings or find_data(checkpoint, "training/tryon_dolls")
        return PreparedFolder(folder, listed=arguments.pairs is not None)
    if arguments.fittings:
        raise ValueError("--fittings is one folder of people and garments: leave out --people and --garments")
    if not (arguments.people and arguments.garments):
        raise ValueError("--people and --garments belong together: give both")
    return TwoFolders(arguments.people, arguments.garments, arguments.category or "upper")


def check_source(source, loaded: LoadedTryon, inpaint: str) -> None:
    """Raise ValueError for a folder of other sizes than the model's, or of other masks, unless by regions."""
    if isinstance(source, TwoFolders):
        choose_size(loaded)
        return
    lines = list(source.lines.values())
    loaded.record.check_data([dict(size=line.get("size")) for line in lines] if inpaint else lines)


def check_regions(option: str, regions: str) -> None:
    """Raise ValueError for names that are no regions of our maps."""
    if regions and not (option == "cut" and regions == BY_MASK):
        try:
            named_regions(regions, standard_regions())
        except ValueError as error:
            raise ValueError(f"--{option} {regions}: {error}") from error


def find_annotators(segmenter, loaded: LoadedTryon, device) -> PersonFinder | None:
    """What finds label maps and joints that are not given: --segmenter, or what lies in models/annotators."""
    style = read_styles().get(loaded.record.mask_style)
    poses = (style is not None and style.rule != "regions") or reads_pose(loaded)
    if segmenter is not None:
        return PersonFinder.load(segmenter, device=device, poses=poses)
    try:
        return PersonFinder.load(USUAL_WEIGHTS, device=device, poses=poses)
    except (FileNotFoundError, ValueError):
        print(
            "people without a mask, or a label map and a pose, beside them want --segmenter PATH, which "
            "finds those: docs/tryon.md",
            flush=True,
        )
        return None


def describe(picture: FittingPicture) -> dict:
    mask, (height, width) = picture.facts["mask"], picture.size
    return dict(
        file=picture.name,
        row=picture.row.number,
        person=picture.person.name,
        garment=picture.garment.name,
        category=picture.garment.category,
        mask=mask.get("file") or mask.get("regions") or mask.get("style"),
        prompt=picture.facts["prompt"],
        seed=picture.seed,
        width=width,
        height=height,
    )
