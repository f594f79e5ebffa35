#!/bin/sh
# The rendered crowds that `mot train person` and `mot train reid-person` learn from, beside their
# pictures: FOLDER/rendered; and FOLDER/rendered-val, which the latter is measured on.
#
#   scripts/render_crowds.sh FOLDER
set -eu

render() { # part, scene, seed, frames, size
    mot synth --scene "$2" --seed "$3" --frames "$4" --size "$5" \
        -o "$folder/$1/$2-$3" --quiet --overwrite
}

folder=$1
number=0
for scene in easy crowd crossing camera night; do
    render rendered-val "$scene" 7 60 640x360
done
for seed in 101 102 103 104 105 106 107 108; do
    for scene in easy crowd crossing camera night; do
        number=$((number + 1))
        case $((number % 3)) in
        0) size=960x540 ;;
        1) size=480x360 ;;
        *) size=640x360 ;;
        esac
        render rendered "$scene" "$seed" 90 "$size"
    done
done
