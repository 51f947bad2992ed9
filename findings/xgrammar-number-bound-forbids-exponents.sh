#!/usr/bin/env bash
# xgrammar: a bound on a number changes how it may be written: no exponent, at most six decimals.
#
# Guess: {"type": "number", "minimum": 0} admits the numbers of {"type": "number"} that are not negative, however they are written.
# Seen: with minimum or maximum, 1e3 is refused although 1000 is admitted, and 0.1234567 is refused although 0.123456 is.
#   Numbers below one millionth thus cannot be written at all. Without a bound all are admitted.
# Where: xgrammar 0.2.9 (PyPI), GrammarCompiler.compile_json_schema; the same in 0.2.7, which SGLang 0.5.23 pins.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" --quiet --disable-pip-version-check install --no-compile --no-deps \
  xgrammar==0.2.9 apache-tvm-ffi==0.1.11 \
  pydantic==2.14.4 pydantic-core==2.50.5 annotated-types==0.8.0 typing-extensions==4.16.0 typing-inspection==0.4.5

"$work/venv/bin/python" - <<'EOF'
import json
import sys
from unittest.mock import MagicMock

import tvm_ffi  # before the stand-ins, since it looks for torch itself

# The grammar compiler and the matcher of texts are native code; PyTorch and the like, which serve only token masks, need not be
for name in ("numpy", "numpy.typing", "torch", "torch.utils", "torch.utils.cpp_extension", "transformers"):
    sys.modules[name] = MagicMock()
import xgrammar

compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([]))


def accepts(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)), terminate_without_stop_token=True)
    return matcher.accept_string(text) and matcher.is_completed()


written = [("1000", True), ("1e3", False), ("2.5E-3", False), ("0.123456", True), ("0.1234567", False), ("0.0000005", False)]
rows = [({"type": "number"}, text, True) for text, _ in written]
rows += [({"type": "number", **bound}, text, bounded)
         for bound in ({"minimum": 0}, {"maximum": 5000}, {"minimum": 0, "maximum": 5000})
         for text, bounded in written]

wrong = 0
for schema, text, expected in rows:
    seen = accepts(schema, text)
    wrong += seen != expected
    print("accepts" if seen else "refuses", text.ljust(16), json.dumps(schema))
sys.exit(f"{wrong} of {len(rows)} differ from what is described" if wrong else 0)
EOF
