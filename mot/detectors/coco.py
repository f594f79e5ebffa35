"""The 80 classes of COCO, in the usual order of their labels, and COCO's category ids."""

from __future__ import annotations

from collections.abc import Sequence

COCO = tuple(
    (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
        "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
        "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,"
        "baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,"
        "fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,"
        "cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
        "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,"
        "hair drier,toothbrush"
    ).split(",")
)

_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # ids below 91 without a class
COCO_IDS = tuple(number for number in range(1, 91) if number not in _GAPS)
_DARKNET_NAMES = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


def coco_category_id(label: int, names: Sequence[str]) -> int:
    """COCO's own category id if the names are COCO's; otherwise ids count from 1."""
    is_coco = len(names) == len(COCO) and all(
        _DARKNET_NAMES.get(name, name) == coco for name, coco in zip(names, COCO, strict=True)
    )
    return COCO_IDS[label] if is_coco else label + 1


def default_names(count: int) -> tuple[str, ...]:
    """Class names of a network that has none: person, COCO's, or numbers."""
    if count == 1:
        return ("person",)
    return COCO if count == len(COCO) else tuple(str(number) for number in range(count))
