"""
Records how SGLang's own parsers take whole texts apart, as fixtures for the agent's parsers:

    python tests/engine/parsers/record.py tests/engine/parsers/recorded-0.5.23.jsonl

with the Python of an environment that has SGLang. It does what serving_chat.py does with an answer that is not streamed
(`_build_chat_response`), and needs neither weights nor a GPU.
"""

import importlib.metadata
import json
import logging
import sys

from corpus import TOOLS, cases

logging.disable(logging.CRITICAL)

from sglang.srt.entrypoints.openai.protocol import Tool, ToolChoice
from sglang.srt.function_call.function_call_parser import FunctionCallParser
from sglang.srt.parser.reasoning_parser import ReasoningParser


def tools(strict=False):
    return [Tool(type="function", function={**tool, "strict": strict}) for tool in TOOLS]


def parse(case):
    reasoning, text, calls = None, case["text"], []
    if case["reasoning"] is not None:
        parser = ReasoningParser(
            model_type=case["reasoning"], stream_reasoning=False, force_reasoning=case["thinking"])
        reasoning, text = parser.parse_non_stream(text)
    if case["tools"] is not None:
        parser = FunctionCallParser(tools(), case["tools"])
        if parser.has_tool_call(text):
            text, calls = parser.parse_non_stream(text)
    return {
        "reasoning": reasoning or "",
        "content": text or "",
        "calls": [{"name": call.name, "arguments": call.parameters} for call in calls],
    }


def grammar(name, choice, strict):
    constraint = FunctionCallParser(tools(strict), name).get_structure_constraint(choice, thinking_mode=False)
    if constraint is None:
        return None
    kind, value = constraint
    dumped = value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value
    return {"kind": kind, "value": dumped}


def grammars():
    choices = {
        "auto": "auto",
        "required": "required",
        "named": ToolChoice(type="function", function={"name": "get_weather"}),
    }
    names = ["deepseekv3", "deepseekv31", "deepseekv32", "qwen", "qwen25", "hermes", "qwen3_coder", "glm45", "kimi_k2"]
    for name in names:
        for choice, value in choices.items():
            for strict in (False, True):
                yield {"parser": name, "choice": choice, "strict": strict, "grammar": grammar(name, value, strict)}


with open(sys.argv[1], "w", encoding="utf-8") as file:
    for line in [
        {"sglang": importlib.metadata.version("sglang"), "tools": TOOLS},
        *({"case": {**case, "engine": parse(case)}} for case in cases()),
        *({"grammar": each} for each in grammars()),
    ]:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
