#!/bin/sh
# What the container runs: the studio, or any other command of fit-a-scene with its arguments.
set -eu
if [ "${1:-studio}" != studio ]; then
    exec fit-a-scene "$@"
fi
if [ -z "${FIELD_STUDIO_PASSWORD:-}" ]; then
    echo "error: give the studio a password: -e FIELD_STUDIO_PASSWORD=... (8 characters or more)" >&2
    exit 2
fi
[ $# -gt 0 ] && shift
exec fit-a-scene studio --host 0.0.0.0 --port 7860 --runs /runs --no-browser --password "$FIELD_STUDIO_PASSWORD" "$@"
