#!/bin/sh
# The rendered crowds that `mot train person` learns from, beside its pictures: FOLDER/rendered.
#
#   scripts/render_crowds.sh FOLDER
set -eu
number=0
for seed in 101 102 103 104 105 106 107 108; do
    for scene in easy crowd crossing camera night; do
        number=$((number + 1))
        case $((number % 3)) in
        0) size=960x540 ;;
        1) size=480x360 ;;
        *) size=640x360 ;;
        esac
        mot synth --scene "$scene" --seed "$seed" --frames 90 --size "$size" \
            -o "$1/rendered/$scene-$seed" --quiet --overwrite
    done
done
