"""Texts as models write them, for every family whose format the agent takes apart itself, and texts that mislead parsers."""

TOOLS = [
    {"name": "get_weather", "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"]}},
    {"name": "write_file", "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}},
    {"name": "configure", "parameters": {
        "type": "object",
        "properties": {
            "options": {"type": "object"}, "flags": {"type": "array", "items": {"type": "string"}},
            "ratio": {"type": "number"}, "on": {"type": "boolean"},
            "label": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}},
    {"name": "now", "parameters": {"type": "object", "properties": {}}},
]

import json

BEGINS, ENDS = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
BEGIN, END, SEP = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def plain(value):
    """A value as XML-like formats write it: strings bare, everything else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def deepseekv3(calls):
    one = lambda name, args: f"{BEGIN}function{SEP}{name}\n```json\n{dumps(args)}\n```{END}"
    return BEGINS + "\n".join(one(*call) for call in calls) + ENDS


def deepseekv31(calls):
    return BEGINS + "".join(f"{BEGIN}{name}{SEP}{dumps(args)}{END}" for name, args in calls) + ENDS


def deepseekv32(calls):
    def one(name, args):
        parameters = "".join(
            f'<｜DSML｜parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">'
            f"{plain(value)}</｜DSML｜parameter>\n" for key, value in args.items())
        return f'<｜DSML｜invoke name="{name}">\n{parameters}</｜DSML｜invoke>\n'
    return "<｜DSML｜function_calls>\n" + "".join(one(*call) for call in calls) + "</｜DSML｜function_calls>"


def qwen(calls):
    return "\n".join(
        f'<tool_call>\n{dumps({"name": name, "arguments": args})}\n</tool_call>' for name, args in calls)


def qwen3_coder(calls):
    def one(name, args):
        parameters = "".join(f"<parameter={key}>\n{plain(value)}\n</parameter>\n" for key, value in args.items())
        return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"
    return "\n".join(one(*call) for call in calls)


def glm45(calls):
    def one(name, args):
        pairs = "".join(
            f"<arg_key>{key}</arg_key>\n<arg_value>{plain(value)}</arg_value>\n" for key, value in args.items())
        return f"<tool_call>{name}\n{pairs}</tool_call>"
    return "\n".join(one(*call) for call in calls)


def kimi_k2(calls):
    one = lambda at, name, args: (
        f"<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>{dumps(args)}<|tool_call_end|>")
    return ("<|tool_calls_section_begin|>" + "".join(one(at, *call) for at, call in enumerate(calls))
            + "<|tool_calls_section_end|>")


FAMILIES = {
    # name: (reasoning parser, tool-call parser, how calls are written)
    "R1": ("deepseek-r1", "deepseekv3", deepseekv3),
    "V3": (None, "deepseekv3", deepseekv3),
    "V3.1": ("deepseek-v3", "deepseekv31", deepseekv31),
    "V3.2": ("deepseek-v3", "deepseekv32", deepseekv32),
    "Qwen3": ("qwen3", "qwen", qwen),
    "Qwen3-Coder": (None, "qwen3_coder", qwen3_coder),
    "GLM-4.5": ("glm45", "glm45", glm45),
    "Kimi-K2": ("kimi_k2", "kimi_k2", kimi_k2),
}

WEATHER = ("get_weather", {"city": "Köln", "days": 3})
PARIS = ("get_weather", {"city": "Paris"})
NESTED = ("configure", {
    "options": {"a": {"b": ["}", "{", "\"quoted\"", "back\\slash"]}, "c": {}},
    "flags": ["x", "y z"], "ratio": 0.25, "on": True, "label": "[1, {\"k\": 2}]"})
CODE = ("write_file", {"path": "a.py", "content": "if a < b and b > c:\n    print(\"```\")\n"})
EMOJI = ("get_weather", {"city": "東京 👩‍💻 ‮"})
TAGS = ("write_file", {"path": "t.html", "content": "<think>no</think> <b>x</b> </function"})


def answers(write):
    """Scenarios of an answer, by name: the text, in which `write` makes the calls."""
    two = write([WEATHER, PARIS])
    one = write([WEATHER])
    yield "plain", "Hello, world."
    yield "empty", ""
    yield "blanks", " \n\n Hello \n\n"
    yield "one call", one
    yield "two calls", two
    yield "two calls and no blank between", two.replace("\n" + one[:6], one[:6])
    yield "three calls", write([WEATHER, NESTED, ("now", {})])
    yield "text before", "Let me look.\n\n" + one
    yield "text before and after", "Let me look. " + one + "\nDone."
    yield "text between", one + "\nAnd now: " + write([PARIS])
    yield "no arguments", write([("now", {})])
    yield "nested", write([NESTED])
    yield "code", write([CODE])
    yield "emoji", "👩‍💻 " + write([EMOJI])
    yield "tags in arguments", write([TAGS])
    yield "unknown tool", write([("delete_all", {"sure": True})])
    yield "an unknown tool and a known one", write([("delete_all", {"sure": True}), WEATHER])
    yield "names a tag", "Write <tool_call> or < or <｜tool or <think> or </think>, then stop."
    yield "long text", "word " * 50 + one


THOUGHTS = {
    "thought": ("Let me think.\nYes.", "</think>\n\n"),
    "empty thought": ("", "</think>"),
    "thought that opens itself": ("<think>\nLet me think.", "\n</think>\n\n"),
}


def cases():
    for family, (reasoning, tools, write) in FAMILIES.items():
        def case(name, text, forced=False, tooled=True):
            return {"name": f"{family}: {name}", "reasoning": reasoning, "tools": tools if tooled else None,
                    "thinking": forced, "text": text}
        for name, text in answers(write):
            if reasoning != "deepseek-r1":
                yield case(name, text)
            if reasoning is not None:
                thought, end = THOUGHTS["thought"]
                yield case(f"{name}, after a thought", thought + end + text, forced=True)
        whole = write([WEATHER, PARIS])
        for length in (len(whole) // 5, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
            thought = "Hm.</think>" if reasoning is not None else ""
            yield case(f"cut off at {length}", thought + whole[:length], forced=reasoning is not None)
        yield case("two calls, not closed", ("Hm.</think>" if reasoning else "") + whole.rsplit("</", 1)[0],
                   forced=reasoning is not None) if "</" in whole else case("plain again", "Hm.</think>Hello.",
                                                                            forced=reasoning is not None)
        if reasoning is None:
            continue
        for name, (thought, end) in THOUGHTS.items():
            yield case(f"{name} and an answer", thought + end + "Hello.", forced=True)
            if reasoning != "deepseek-r1" and thought.startswith("<think>"):
                yield case(f"{name}, not forced", thought + end + "Hello.")
        yield case("thought cut off", "Let me th", forced=True)
        yield case("thought cut off in its end tag", "Let me think.</thi", forced=True)
        yield case("two opening tags", "<think><think>Hm.</think>Hello.", forced=True)
        yield case("the thought names the tags", "What is <think>? A tag.</think>Hello.", forced=True)
        yield case("the answer names the tags", "Hm.</think>Models write <think>…</think> around it.", forced=True)
        yield case("a call inside a thought that ends", "I could " + write([WEATHER]) + " or not.</think>No.", forced=True)
        yield case("a call inside a thought that never ends", "I will call.\n" + write([WEATHER]), forced=True)
        yield case("a call right after the thought", "Hm.</think>" + write([WEATHER]), forced=True)
        yield case("a thought names the tag of calls", "Should I write <tool_call> here? No.</think>Hello.", forced=True)
        yield case("no tools in the request", "Hm.</think>" + write([WEATHER]), forced=True, tooled=False)
