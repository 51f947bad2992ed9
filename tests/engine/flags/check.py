"""Finds, for flags of SGLang's launch_server, that the installed wheel declares them and that something reads them.

    node tests/engine/flags/list.ts | VENV/bin/python tests/engine/flags/check.py

It writes checked/sglang-VERSION.json beside itself: by flag the attribute that holds it (null: the wheel declares no such flag), how
many places read that attribute, and one of them. A place reads it as an attribute of the server's arguments or of a part of them, or
names it in a call such as `getattr(server_args, "name")`; its declaration does not count.
"""

import argparse
import ast
import importlib.metadata
import json
import pathlib
import sys

import sglang
from sglang.srt.server_args import ServerArgs

HERE = pathlib.Path(__file__).parent
ROOT = pathlib.Path(sglang.__file__).parent
# Arguments are declared here.
DECLARATIONS = ("srt/server_args.py", "srt/arg_groups/fields/", "srt/arg_groups/field_order.py")
# By these names the arguments, or parts of them, are passed around.
HOLDERS = ("args", "config", "cfg", "features", "get_")


def attributes() -> dict[str, str]:
    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    return {option: action.dest for action in parser._actions for option in action.option_strings}


def holds_arguments(node: ast.expr) -> bool:
    name = ast.unparse(node).split(".")[-1]
    return name == "self" or any(part in name for part in HOLDERS)


def read_names(tree: ast.AST, wanted: set[str]):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            if node.attr in wanted and holds_arguments(node.value):
                yield node.attr, node.lineno
        elif isinstance(node, ast.Call):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and argument.value in wanted:
                    yield argument.value, node.lineno


def main() -> None:
    flags = json.load(sys.stdin)
    by_option = attributes()
    wanted = {by_option[flag] for flag in flags if flag in by_option}
    reads: dict[str, list[str]] = {name: [] for name in wanted}
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(DECLARATIONS) or place.startswith(("test/", "benchmark/", "bench_")):
            continue
        text = path.read_text(encoding="utf-8")
        if not any(name in text for name in wanted):
            continue
        for name, line in read_names(ast.parse(text), wanted):
            reads[name].append(f"{place}:{line}")
    version = importlib.metadata.version("sglang")
    checked = {}
    for flag in sorted(flags):
        attribute = by_option.get(flag)
        places = reads.get(attribute, [])
        checked[flag] = {"attribute": attribute, "reads": len(places), "at": places[0] if places else None}
    text = json.dumps({"sglang": version, "flags": checked}, indent=2)
    (HERE / "checked" / f"sglang-{version}.json").write_text(text + "\n", encoding="utf-8")
    print(version, len(flags), "flags;", "unread:", [flag for flag, found in checked.items() if not found["reads"]])


main()
