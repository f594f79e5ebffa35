"""How good detections are: COCO's, VOC's and CrowdHuman's metrics, by size, and what goes wrong."""
