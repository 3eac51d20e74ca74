"""The lines of a training folder of people in garments, checked and by their names."""

WANTED = "name", "garment", "mask"
FURTHER = "garment_mask", "pose", "source", "garment_prompt"


def lines_by_name(folder, items: list[dict]) -> dict[str, dict]:
    """Items of pictures.pairs.read_items by their names, of which pictures are named.

    Raises:
        ValueError: it names the folder, and the line that lacks something, or whose name is no file's or has
            come before.
    """
    lines = {}
    for number, item in enumerate(items, 1):
        if lacking := next((key for key in WANTED if key not in item), None):
            raise ValueError(
                f"{folder} holds no people in garments, its lines have no {lacking}: give such a folder by "
                "--fittings, or --people and --garments"
            )
        for key in (*WANTED, *FURTHER):
            if not isinstance(item.get(key, ""), str) or "\0" in item.get(key, ""):
                raise ValueError(f"{folder}, item {number}: {key} must be a text, got {item[key]!r:.60}")
        name = item["name"]
        if name in ("", ".", "..") or set(name) & set("/\\:"):
            raise ValueError(f"{folder}, item {number}: {name!r:.60} can name no file: prepare it anew")
        if name in lines:
            raise ValueError(f"{folder}, item {number}: {name!r:.60} is an earlier item's name, too")
        lines[name] = item
    if not lines:
        raise ValueError(f"{folder} has no items: tool_prepare_data.py makes such a folder")
    return lines
