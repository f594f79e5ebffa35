"""What every network shares: ONNX Runtime, export, preprocessing, checkpoints, devices."""
