"""Maps the tensor names of other programs to ours, for the same networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Arrays = dict[str, Tensor]
_PREFIXES = ("module.", "_orig_mod.", "model.", "ema_model.")


def _keep(arrays: Arrays) -> Arrays:
    return arrays


@dataclass(frozen=True, slots=True)
class Naming:
    """How a program names tensors: regular expressions and what they are replaced by."""

    name: str
    rules: tuple[tuple[str, str], ...] = ()  # the first that gives a known name is used
    convert: Callable[[Arrays], Arrays] = _keep  # of tensors under our names


def _background_first(arrays: Arrays) -> Arrays:
    """Moves the background, in mmdetection the last class and without a box, to the front."""
    score, box = ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
    changed = dict(arrays)
    for kind in ("weight", "bias"):
        if f"{score}.{kind}" in arrays:
            changed[f"{score}.{kind}"] = arrays[f"{score}.{kind}"].roll(1, 0)
        if f"{box}.{kind}" in arrays:
            boxes = arrays[f"{box}.{kind}"]
            changed[f"{box}.{kind}"] = torch.cat([torch.zeros_like(boxes[:4]), boxes])
    return changed


_PYRAMID = r"(?<=fpn)\.(inner|layer)_blocks\.(\d+)\.(weight|bias)$"
_OLD_HEAD = r"(head\.(?:classification|regression)_head\.conv)\.{}\.(weight|bias)$"

NAMINGS = (
    Naming("its own names"),
    Naming(
        "torchvision's old names",
        (
            (_PYRAMID, r".\1_blocks.\2.0.\3"),
            (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
            *((_OLD_HEAD.format(2 * layer), rf"\1.{layer}.0.\2") for layer in range(4)),
        ),
    ),
    Naming(
        "mmdetection's names",
        (
            (r"^backbone\.", "backbone.body."),
            (r"^neck\.lateral_convs\.(\d)\.conv\.", r"backbone.fpn.inner_blocks.\1.0."),
            (r"^neck\.fpn_convs\.(\d)\.conv\.", r"backbone.fpn.layer_blocks.\1.0."),
            (r"^neck\.fpn_convs\.3\.conv\.", "backbone.fpn.extra_blocks.p6."),
            (r"^neck\.fpn_convs\.4\.conv\.", "backbone.fpn.extra_blocks.p7."),
            (r"^bbox_head\.cls_convs\.(\d)\.conv\.", r"head.classification_head.conv.\1.0."),
            (r"^bbox_head\.reg_convs\.(\d)\.conv\.", r"head.regression_head.conv.\1.0."),
            (r"^bbox_head\.retina_cls\.", "head.classification_head.cls_logits."),
            (r"^bbox_head\.retina_reg\.", "head.regression_head.bbox_reg."),
            (r"^rpn_head\.rpn_conv\.", "rpn.head.conv.0.0."),
            (r"^rpn_head\.rpn_cls\.", "rpn.head.cls_logits."),
            (r"^rpn_head\.rpn_reg\.", "rpn.head.bbox_pred."),
            (r"^roi_head\.bbox_head\.shared_fcs\.0\.", "roi_heads.box_head.fc6."),
            (r"^roi_head\.bbox_head\.shared_fcs\.1\.", "roi_heads.box_head.fc7."),
            (r"^roi_head\.bbox_head\.fc_cls\.", "roi_heads.box_predictor.cls_score."),
            (r"^roi_head\.bbox_head\.fc_reg\.", "roi_heads.box_predictor.bbox_pred."),
        ),
        _background_first,
    ),
)


def strip_prefixes(arrays: Mapping[str, Tensor], known: Iterable[str]) -> tuple[Arrays, list[str]]:
    """Removes prefixes of wrapper modules; also returns them. `known` are the network's names."""
    stripped, found = dict(arrays), []
    known = set(known)
    for prefix in _PREFIXES * 2:  # in any order
        matching = [name for name in stripped if name.startswith(prefix)]
        if 2 * len(matching) <= len(stripped) or any(name.startswith(prefix) for name in known):
            continue
        stripped = {name.removeprefix(prefix): array for name, array in stripped.items()}
        found.append(prefix)
    return stripped, found


def map_names(arrays: Arrays, known: Iterable[str]) -> tuple[Arrays, str]:
    """Tensors under our names, by the naming that gives most known ones; also its name."""
    known = set(known)
    mapped = [
        ({_map_name(naming, n, known): a for n, a in arrays.items()}, naming) for naming in NAMINGS
    ]
    best, naming = max(mapped, key=lambda each: len(known & each[0].keys()))
    return naming.convert(best), naming.name


def _map_name(naming: Naming, name: str, known: set[str]) -> str:
    if name in known:
        return name
    candidates = [re.sub(pattern, new, name) for pattern, new in naming.rules]
    return next((candidate for candidate in candidates if candidate in known), name)
