#!/usr/bin/env bash
# xgrammar: a bound on an array without `items`, or on an object without `properties`, leaves only the empty one.
#
# Guess: {"type": "array", "maxItems": 5} admits up to five values of any kind, as JSON Schema says, and an object with
#   `required: ["a"]` must have `a`.
# Seen: {"type": "array"} admits anything, but adding any of maxItems, minItems: 0, uniqueItems or contains leaves nothing but [],
#   which by JSON Schema would have to fail for `contains`. {"type": "object"} admits anything, but with required: ["a"] it admits
#   {} alone, the very object that lacks `a`. An explicit `items: {}` or `additionalProperties: true` brings the values back.
#   In strict mode, the default and what SGLang uses, a keyword of the family makes the schema count as written in full,
#   and what is then not named is forbidden. No error and no warning says so.
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


rows = [
    ({"type": "array"}, "[1, 2]", True),
    ({"type": "array", "maxItems": 5}, "[1, 2]", False),
    ({"type": "array", "maxItems": 5}, "[]", True),
    ({"type": "array", "minItems": 0}, "[1, 2]", False),
    ({"type": "array", "uniqueItems": True}, "[1, 2]", False),
    ({"type": "array", "contains": {}}, "[1, 2]", False),
    ({"type": "array", "contains": {}}, "[]", True),
    ({"type": "array", "maxItems": 5, "items": {}}, "[1, 2]", True),
    ({"type": "object"}, '{"a": 1}', True),
    ({"type": "object", "required": ["a"]}, '{"a": 1}', False),
    ({"type": "object", "required": ["a"]}, "{}", True),
    ({"type": "object", "maxProperties": 3}, '{"a": 1}', False),
    ({"type": "object", "required": ["a"], "additionalProperties": True}, '{"a": 1}', True),
]

wrong = 0
for schema, text, expected in rows:
    seen = accepts(schema, text)
    wrong += seen != expected
    print("accepts" if seen else "refuses", text.ljust(16), json.dumps(schema))
sys.exit(f"{wrong} of {len(rows)} differ from what is described" if wrong else 0)
EOF
