/**
 * Records the names that an installed SGLang knows: its parsers and its arguments. Profiles and recipes are held against
 * them. Read from the sources, because importing them takes a GPU's libraries.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DEFAULT_FOLDER, pythonOf, RECOMMENDED } from './folder.ts';

const OUTPUT = fileURLToPath(new URL(`../gpu-pool/recipes/sglang-${RECOMMENDED}.json`, import.meta.url));
const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: DEFAULT_FOLDER },
    /** The interpreter of another installation of the release. */
    python: { type: 'string' },
  },
});
const python = values.python ?? pythonOf(values.folder, RECOMMENDED);
const print = (code: string) => execFileSync(python, ['-c', code], { encoding: 'utf8' }).trim();
const packages = print('import sysconfig; print(sysconfig.get_path("purelib"))');
const release = print('import importlib.metadata; print(importlib.metadata.version("sglang"))');
if (release !== RECOMMENDED) throw new Error(`${python} has SGLang ${release}: install ${RECOMMENDED}.`);

const read = (path: string) => readFileSync(join(packages, 'sglang/srt', path), 'utf8');
/** The keys of a dict of string keys that follows `name` in a source. */
function keysOf(source: string, name: string): string[] {
  const dict = source.slice(source.indexOf(name));
  return [...dict.slice(0, dict.indexOf('}')).matchAll(/^\s+"([\w.-]+)":/gm)].map(([, key]) => key!).sort();
}

const names = {
  source: `sglang ${release}: srt/parser/reasoning_parser.py, srt/function_call/function_call_parser.py, srt/arg_groups/field_order.py`,
  reasoningParsers: keysOf(read('parser/reasoning_parser.py'), 'DetectorMap'),
  toolCallParsers: keysOf(read('function_call/function_call_parser.py'), 'ToolCallParserEnum'),
  arguments: [...read('arg_groups/field_order.py').matchAll(/^ {4}"(\w+)",$/gm)]
    .map(([, field]) => `--${field!.replaceAll('_', '-')}`)
    .sort(),
};
for (const [name, list] of Object.entries(names)) if (list.length === 0) throw new Error(`Found no ${name}.`);
writeFileSync(OUTPUT, `${JSON.stringify(names, null, 2)}\n`);
