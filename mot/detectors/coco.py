"""The 80 classes of COCO, in the order that networks number them, and COCO's own numbers."""

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

_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers below 91 that COCO has no class for
COCO_NUMBERS = tuple(number for number in range(1, 91) if number not in _GAPS)
_DARKNETS = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}  # Darknet's own words


def category_number(label: int, names: Sequence[str]) -> int:
    """Of a label among these names: COCO's own where they are COCO's, else they count from 1."""
    is_coco = len(names) == len(COCO) and all(
        _DARKNETS.get(name, name) == ours for name, ours in zip(names, COCO, strict=True)
    )
    return COCO_NUMBERS[label] if is_coco else label + 1


def usual_names(count: int) -> tuple[str, ...]:
    """Of the classes of a network that does not tell them: COCO's, or one class of people."""
    if count == 1:
        return ("person",)
    return COCO if count == len(COCO) else tuple(str(number) for number in range(count))
