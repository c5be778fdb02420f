#!/bin/bash
# Makes a JPEG and a 320 pixel wide thumbnail of one image.
#   rgrid run docs/examples/thumbnails/thumbnail.sh --runtime ffmpeg:latest --batch 'inputs/*.png' --parallel 4
set -euo pipefail

image=${1:?usage: thumbnail.sh IMAGE}
name=$(basename "$image" .png)

ffmpeg -nostdin -loglevel error -y -threads 1 -i "$image" -q:v 3 "$name.jpg"
ffmpeg -nostdin -loglevel error -y -threads 1 -i "$image" -vf scale=320:-2 -q:v 5 "$name.thumb.jpg"
echo "$name: $(stat -c %s "$name.jpg") bytes, thumbnail $(stat -c %s "$name.thumb.jpg") bytes"
