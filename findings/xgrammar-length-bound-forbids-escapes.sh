#!/usr/bin/env bash
# xgrammar: any length bound on a string forbids line breaks and quotation marks in it.
#
# Guess: {"type": "string", "maxLength": 4000} admits the same strings as {"type": "string"}, up to 4000 characters.
# Seen: with minLength: 1 or any maxLength no escape can be written at all: no \n, no \", no \\, no \uXXXX. JSON has no other way to write
#   a line break or a quotation mark, so a model that is asked for a non-empty text answers in one line without quotations.
#   minLength: 0 is no bound and harmless. `pattern` has the same effect, even ".*", although its dot could be taken to match a
#   quotation mark.
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


escapes = [r'"a\nb"', r'"say \"a\""', r'"a\\b"', r'"a\u0042"']
rows = [({"type": "string", **bound}, text, free)
        for bound, free in [({}, True), ({"minLength": 0}, True), ({"minLength": 1}, False), ({"maxLength": 4000}, False),
                            ({"pattern": ".*"}, False)]
        for text in escapes]
rows += [({"type": "string", "minLength": 1, "maxLength": 4000}, '"plain"', True)]

wrong = 0
for schema, text, expected in rows:
    seen = accepts(schema, text)
    wrong += seen != expected
    print("accepts" if seen else "refuses", text.ljust(16), json.dumps(schema))
sys.exit(f"{wrong} of {len(rows)} differ from what is described" if wrong else 0)
EOF
