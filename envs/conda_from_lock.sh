#!/bin/sh
# Writes fdistill.yaml from requirements.txt, for `snakemake --software-deployment-method conda` (see `make lock`).
cd "$(dirname "$0")" || exit 1
{
    echo "# Generated from requirements.txt by conda_from_lock.sh; do not edit."
    echo "channels: [conda-forge]"
    echo "dependencies:"
    echo "  - python=3.11"
    echo "  - pip"
    echo "  - pip:"
    sed -n '/^#/d; /^pip==/d; /./s/^/      - /p' requirements.txt
} > fdistill.yaml
