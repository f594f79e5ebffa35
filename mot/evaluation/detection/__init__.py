"""Detection metrics: those of COCO, VOC and CrowdHuman, by object size, and kinds of errors."""
