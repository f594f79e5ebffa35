"""COCO JSON of images with boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    errors_at,
    get_entries,
    get_field,
    get_size,
    get_xywh,
    has_suffix,
    read_json,
)

_TRACK_KEYS = ("track_id", "instance_id")


def detect(path: Path) -> bool:
    return has_suffix(path, ".json")


def read(settings: DataSettings) -> RawDataset:
    path = settings.source
    data = read_json(path)
    with errors_at(path):
        names = parse_categories(data)
        images = _index_images(get_entries(data, "images"), path)
        annotations = _group_by_image(get_entries(data, "annotations"), path)
    folder = settings.image_folder(_candidate_folders(path))
    names_in_order = tuple(names[number] for number in sorted(names))
    return RawDataset(_build_images(path, folder, images, annotations, names), names_in_order)


def read_categories(path: Path) -> Mapping[int, str]:
    """The class names of a file by their ids."""
    data = read_json(path)
    with errors_at(path):
        return parse_categories(data)


def parse_categories(data: Entry) -> dict[int, str]:
    return {
        get_field(entry, "id", int): get_field(entry, "name", str)
        for entry in get_entries(data, "categories")
    }


def _candidate_folders(path: Path) -> Iterator[Path]:
    """For `annotations/instances_train2017.json`: `train2017` and `images/train2017`."""
    for folder in (path.parent, path.parent.parent):
        for name in (path.stem, path.stem.rpartition("_")[2]):
            yield folder / name
            yield folder / "images" / name
    yield path.parent / "images"
    yield path.parent


def _index_images(images: list[Entry], path: Path) -> dict[int, Entry]:
    """The images by their ids."""
    found: dict[int, Entry] = {}
    for index, entry in enumerate(images):
        with errors_at(f"{path}: images[{index}]"):
            number = get_field(entry, "id", int)
            get_field(entry, "file_name", str)
            if number in found:
                raise ValueError(f"id {number} is repeated")
        found[number] = entry
    return found


def _group_by_image(annotations: list[Entry], path: Path) -> dict[int, list[tuple[int, Entry]]]:
    """The annotations of each image id, with their positions in the file."""
    found = defaultdict(list)
    for index, entry in enumerate(annotations):
        with errors_at(f"{path}: annotations[{index}]"):
            found[get_field(entry, "image_id", int)].append((index, entry))
    return found


def _build_images(
    path: Path,
    folder: Path,
    images: Mapping[int, Entry],
    annotations: Mapping[int, list[tuple[int, Entry]]],
    names: Mapping[int, str],
) -> Iterator[RawImage]:
    """Image ids that only occur in annotations are missing images."""
    for number, image in images.items():
        objects = []
        for index, entry in annotations.get(number, ()):
            with errors_at(f"{path}: annotations[{index}]"):
                objects.append(_parse_object(entry, image, names))
        name = image["file_name"]
        yield RawImage(folder / name, name, objects, get_size(image), number)
    for number in annotations.keys() - images.keys():
        name = f"image_id {number}"
        yield RawImage(folder / name, name, [], number=number)


def _parse_object(entry: Entry, image: Entry, names: Mapping[int, str]) -> RawObject:
    category = get_field(entry, "category_id", int)
    if category not in names:
        raise ValueError(f"category_id {category} is not among the categories")
    visible = get_xywh(entry, "vis_bbox") if "vis_bbox" in entry else None
    visibility = entry.get("visibility")
    is_fraction = isinstance(visibility, int | float) and 0 <= visibility <= 1
    return RawObject(
        get_xywh(entry, "bbox"),
        names[category],
        bool(entry.get("iscrowd") or entry.get("ignore")),
        visible,
        float(visibility) if is_fraction else None,  # type: ignore[arg-type]
        _track_key(entry, image),
    )


def _track_key(entry: Entry, image: Entry) -> Hashable:
    """Equal ids in different videos are different tracks."""
    track = next((entry[key] for key in _TRACK_KEYS if entry.get(key) is not None), None)
    if not isinstance(track, int | str):
        return None
    return str(image.get("video_id")), track
