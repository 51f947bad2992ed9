#!/usr/bin/env bash
# SGLang: tool calls that arrive in one chunk of a stream lose their arguments, merge, or take each other's place.
#
# Guess: how the text is cut into chunks changes when a call is reported, not what: streamed, the calls are those of the whole text.
# Seen, with text that detect_and_parse reads as the calls Bern and Rome, and that ends the stream:
#   - qwen25, one call in each chunk: only Bern; both in one chunk: a single call without arguments
#   - deepseekv3 and deepseekv31, one call in each chunk: only Rome, reported as the first call
#   - both in one chunk: deepseekv3 reports a single call without arguments; deepseekv31 does, too, and its name holds the markup and the
#     arguments of Bern
#   - kimi_k2: both calls, however they arrive
#   Even a single call that arrives whole has no arguments, except from kimi_k2: they would come with the next chunk, if there were one.
#   Chunks of several tokens are normal with --stream-interval above 1 or speculative decoding. At the end of a stream the server adds
#   what prev_tool_call_arr has of the last call and was not sent. That is nothing here, since nothing was recorded either.
# Where: sglang 0.5.23 (PyPI), srt/function_call, parse_streaming_increment. The modules are loaded without SGLang's package, which
#   would demand PyTorch; all that is replaced is the class of a tool.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: --python-version 3.11 \
  --platform manylinux_2_34_x86_64 --dest wheels sglang==0.5.23
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python --quiet --disable-pip-version-check install --no-compile --no-deps orjson==3.13.0 \
  partial-json-parser==0.2.1.1.post7 pydantic==2.14.4 pydantic-core==2.50.5 annotated-types==0.8.0 typing-extensions==4.16.0 \
  typing-inspection==0.4.5

venv/bin/python - <<'EOF'
import importlib
import json
import logging
import pathlib
import sys
import types
import zipfile

zipfile.ZipFile(next(pathlib.Path("wheels").glob("*.whl"))).extractall("unpacked")
logging.disable(logging.CRITICAL)
for name in ("sglang", "sglang.srt", "sglang.srt.entrypoints", "sglang.srt.entrypoints.openai", "sglang.srt.function_call"):
    package = types.ModuleType(name)
    package.__path__ = [str(pathlib.Path("unpacked", *name.split(".")).resolve())]
    sys.modules[name] = package
protocol = types.ModuleType("sglang.srt.entrypoints.openai.protocol")


class Tool:
    type = "function"
    function = types.SimpleNamespace(name="weather", strict=False, parameters={
        "type": "object", "properties": {"city": {"type": "string"}}})


protocol.Tool, protocol.ToolChoice = Tool, object
sys.modules[protocol.__name__] = protocol

BERN, ROME = '{"city": "Bern"}', '{"city": "Rome"}'


def qwen(arguments, _):
    return '<tool_call>\n{"name": "weather", "arguments": ' + arguments + "}\n</tool_call>\n"


def deepseek31(arguments, _):
    return "<｜tool▁call▁begin｜>weather<｜tool▁sep｜>" + arguments + "<｜tool▁call▁end｜>"


def deepseek3(arguments, _):
    return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n" + arguments + "\n```<｜tool▁call▁end｜>"


def kimi(arguments, index):
    return f"<|tool_call_begin|>functions.weather:{index}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


DEEPSEEK = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
FORMATS = {
    "qwen25_detector.Qwen25Detector": (qwen, "", ""),
    "deepseekv3_detector.DeepSeekV3Detector": (deepseek3, *DEEPSEEK),
    "deepseekv31_detector.DeepSeekV31Detector": (deepseek31, *DEEPSEEK),
    "kimik2_detector.KimiK2Detector": (kimi, "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
}
merged = 'weather<｜tool▁sep｜>{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>weather'
both = [("weather", BERN), ("weather", ROME)]
# For each format: one call in one chunk; two calls, each in a chunk; two calls in one chunk.
EXPECTED = {
    "qwen25_detector.Qwen25Detector": ([("weather", "")], [("weather", BERN)], [("weather", "")]),
    "deepseekv3_detector.DeepSeekV3Detector": ([("weather", "")], [("weather", ROME)], [("weather", "")]),
    "deepseekv31_detector.DeepSeekV31Detector": ([("weather", "")], [("weather", ROME)], [(merged, "")]),
    "kimik2_detector.KimiK2Detector": ([("weather", BERN)], both, both),
}


def streamed(make, chunks):
    detector, calls = make(), {}
    for chunk in chunks:
        for item in detector.parse_streaming_increment(chunk, [Tool]).calls:
            name, arguments = calls.get(item.tool_index, ("", ""))
            calls[item.tool_index] = (name + (item.name or ""), arguments + (item.parameters or ""))
    # What the server would still add to the last call at the end of the stream.
    recorded = detector.prev_tool_call_arr[-1].get("arguments") if detector.prev_tool_call_arr else None
    sent = calls[max(calls)][1]
    owed = json.dumps(recorded) if recorded and json.dumps(recorded) != sent else ""
    return list(calls.values()), owed


failed = False
for name, (call, begin, end) in FORMATS.items():
    module, attribute = name.split(".")
    make = getattr(importlib.import_module(f"sglang.srt.function_call.{module}"), attribute)
    first, second = begin + call(BERN, 0), call(ROME, 1) + end
    whole = [(item.name, item.parameters) for item in make().detect_and_parse(first + second, [Tool]).calls]
    failed = failed or whole != both
    print(attribute, "whole text:", whole)
    for chunks, expected in zip(([first + end], [first, second], [first + second]), EXPECTED[name]):
        seen, owed = streamed(make, chunks)
        wrong = seen != expected or owed != ""
        failed = failed or wrong
        print("  differs" if wrong else "  ", "single call:" if chunks == [first + end] else f"two calls in {len(chunks)} chunk(s):", seen)
sys.exit(failed)
EOF
