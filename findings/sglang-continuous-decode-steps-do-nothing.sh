#!/usr/bin/env bash
# SGLang: --num-continuous-decode-steps is accepted, documented, and read by nothing.
#
# Guess: it does what its help says, that is, runs several decode steps at once for throughput at the cost of the first token's latency,
#   as older tuning guides recommend. So measuring it, or keeping it in a launch command, makes sense.
# Seen: in the wheels of 0.5.20 and 0.5.23 no module reads the attribute. The name stands where the argument is declared and in a list
#   of names that gives the arguments their order. Another argument declared beside it, scheduler_recv_interval, is read, which shows
#   that the search finds readers.
# Where: sglang 0.5.20 and 0.5.23 (PyPI), every file of the wheel, native code included.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 0.5.20 0.5.23; do
  python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: --python-version 3.11 \
    --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 --platform any --dest "$version" "sglang==$version"
done

python3 - <<'EOF'
import ast
import pathlib
import sys
import warnings
import zipfile

warnings.simplefilter("ignore")


def mentions(wheel, name):
    """(reads, other): places that read an attribute of the name, and files that mention it in any other way."""
    reads, other = [], set()
    for path in wheel.namelist():
        data = wheel.read(path)
        if name.encode() not in data:
            continue
        if not path.endswith(".py"):
            other.add(path)
            continue
        for node in ast.walk(ast.parse(data)):
            if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Load):
                reads.append(f"{path}:{node.lineno}")
        if not any(read.startswith(path) for read in reads):
            other.add(path)
    return reads, sorted(other)


failed = False
for version in ("0.5.20", "0.5.23"):
    wheel = zipfile.ZipFile(next(pathlib.Path(version).glob("*.whl")))
    reads, other = mentions(wheel, "num_continuous_decode_steps")
    control, _ = mentions(wheel, "scheduler_recv_interval")
    print(version, "reads:", reads, "- mentions:", other, "- reads of scheduler_recv_interval:", len(control))
    failed = failed or len(reads) > 0 or len(other) == 0 or len(control) == 0
sys.exit(failed)
EOF
