"""Names of protocols and splits, for the command line; imports nothing."""

PROTOCOL_NAMES = tuple("mot15 mot16 mot17 mot20 dancetrack sportsmot bdd100k plain".split())
SPLITS = ("all", "train-half", "val-half")
