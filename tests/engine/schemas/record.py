"""Records what a real SGLang and its xgrammar do with the schemas of cases.jsonl, without weights or a GPU.

    VENV/bin/python tests/engine/schemas/record.py

Run it with the Python of an environment in which `sglang[srt]` is installed; another xgrammar in front of PYTHONPATH is used in place
of the environment's own. It writes recorded/sglang-VERSION-xgrammar-VERSION.json beside itself:

    verdicts  one string a case: `T` or `t`: the schema is accepted or refused as a tool's parameters (serving_chat.py, checked for
              every tool); `F` or `f`: the same as the format of an answer (xgrammar_backend.py, dispatch_json); then for each text
              `y` or `n`: whether the grammar accepts it as a whole answer
    samples   one `y` or `n` a line of samples.jsonl: whether the grammar of its case accepts the emulator's answer
"""

import copy
import datetime
import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib

logging.disable(logging.CRITICAL)
os.environ.setdefault("XGRAMMAR_LOG_LEVEL", "ERROR")

import xgrammar  # noqa: E402
from jsonschema import Draft202012Validator, SchemaError  # noqa: E402
from sglang.srt.constrained.base_grammar_backend import InvalidGrammarObject  # noqa: E402
from sglang.srt.constrained.xgrammar_backend import XGrammarGrammarBackend  # noqa: E402
from sglang.srt.function_call.utils import normalize_json_schema_types  # noqa: E402

HERE = pathlib.Path(__file__).parent


class BareTokenizer:
    """A tokenizer of no tokens: texts are matched byte by byte."""

    def init_xgrammar(self):
        return xgrammar.TokenizerInfo([]), None


backend = XGrammarGrammarBackend(BareTokenizer(), vocab_size=0)


def accepted_as_tool(schema) -> bool:
    parameters = copy.deepcopy(schema)
    try:
        normalize_json_schema_types(parameters)
        Draft202012Validator.check_schema(parameters)
    except (SchemaError, RecursionError, OverflowError):  # the last one, of a huge count in a pattern, becomes a 500
        return False
    return True


def compiled(schema):
    """The grammar; None where the engine refuses the schema. It catches RuntimeErrors only while it compiles."""
    try:
        grammar = backend.dispatch_json(json.dumps(schema))
    except RuntimeError:
        return None
    return None if isinstance(grammar, InvalidGrammarObject) else grammar


def matches(grammar, text: str) -> bool:
    matcher = grammar.copy().matcher
    return matcher.accept_string(text) and matcher.is_completed()


def verdict(case, grammar) -> str:
    texts = "" if grammar is None else "".join("y" if matches(grammar, text) else "n" for text in case["texts"])
    return ("T" if accepted_as_tool(case["schema"]) else "t") + ("f" if grammar is None else "F") + texts


def read(name: str):
    text = (HERE / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line], hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    cases, cases_sha256 = read("cases.jsonl")
    samples, samples_sha256 = read("samples.jsonl")
    grammars = [compiled(case["schema"]) for case in cases]
    versions = {name: importlib.metadata.version(name) for name in ("sglang", "xgrammar")}
    record = {
        **versions,
        "date": datetime.date.today().isoformat(),
        "cases_sha256": cases_sha256,
        "samples_sha256": samples_sha256,
        "verdicts": [verdict(case, grammar) for case, grammar in zip(cases, grammars)],
        "samples": "".join(
            "y" if grammars[index] is not None and matches(grammars[index], text) else "n" for index, text in samples
        ),
    }
    name = "-".join(f"{key}-{version}" for key, version in versions.items())
    (HERE / "recorded" / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(name, len(cases), "cases,", len(samples), "samples,", record["samples"].count("n"), "of them refused")


main()
