/**
 * Every code block of README and docs can be pasted: it is run by a test that is named here, or else at least read by its own
 * language, and every script, file and setting of this project that it names exists. A block in a language that nothing here
 * reads fails.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Snippet {
  /** `docs/api.md:144` */
  readonly where: string;
  readonly language: string;
  readonly code: string;
}

const FILES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...globSync('docs/**/*.md', { cwd: ROOT })];
const SNIPPETS: Snippet[] = FILES.flatMap((file) => {
  const text = read(file);
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(
    ({ index, 1: indent, 2: language, 3: code }) => ({
      where: `${file}:${text.slice(0, index).split('\n').length}`,
      language: language!,
      code: code!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
});

const scratch = mkdtempSync(join(tmpdir(), 'tollgate-snippets-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The complaint of a program about a snippet in a file; empty: it has none. */
function complaint(command: string, args: readonly string[], name: string, code: string): string {
  const file = join(scratch, name);
  writeFileSync(file, code);
  const { status, stderr, error } = spawnSync(command, [...args, file], { encoding: 'utf8' });
  if (error) return `${command} cannot be started`;
  return status === 0 ? '' : stderr;
}

const PYTHON_READS = 'import ast, sys; ast.parse(open(sys.argv[1]).read())';
const hasPython = spawnSync('python3', ['--version']).status === 0;

/** Parsers that read each language without running it. Types are erased as Node erases them; tests/examples are compiled, too. */
const READERS: Record<string, (code: string) => string> = {
  sh: (code) => complaint('bash', ['-n'], 'snippet.sh', code),
  bash: (code) => complaint('bash', ['-n'], 'snippet.sh', code),
  ts: (code) => complaint(process.execPath, ['--check'], 'snippet.mts', code),
  javascript: (code) => complaint(process.execPath, ['--check'], 'snippet.mjs', code),
  python: (code) => (hasPython ? complaint('python3', ['-c', PYTHON_READS], 'snippet.py', code) : ''),
  /** Values to enter, or a drawing: nothing to run. */
  '': () => '',
  json: (code) => {
    try {
      JSON.parse(code);
      return '';
    } catch (error) {
      return String(error);
    }
  },
};

describe.each(SNIPPETS)('$where ($language)', ({ language, code }) => {
  it('is read by its language', () => {
    expect(Object.keys(READERS)).toContain(language);
    expect(READERS[language]!(code)).toBe('');
  });

  it('names scripts and files that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...code.matchAll(/\bnpm (?:run (?:-s |--silent )?)?([\w:-]+)/g)].map(([, name]) => name!);
    const own = new Set(['ci', 'install', 'ls', 'i', 'exec', 'pack']);
    expect(named.filter((name) => !own.has(name) && !(name in scripts))).toEqual([]);
    const files = [
      ...code.matchAll(/(?<![\w/.-])((?:worker|gpu-pool|tests|migrations|docs)\/[\w./-]+\.\w+)/g),
    ];
    expect(files.map(([, path]) => path!).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

/** JavaScript and Python can be run here, so each of their snippets is: by the test that has the same text. */
it('every snippet in JavaScript, TypeScript and Python is one that a test runs', () => {
  const run = [
    // tests/e2e/examples.test.ts, which holds docs/api.md against them
    ...globSync('worker/examples/*.ts', { cwd: ROOT }).map(read),
    // tests/worker/notifications/webhook-example.test.ts and tests/domain/webhook-example.test.ts
    ...globSync('tests/examples/*.ts', { cwd: ROOT }).map(read),
  ].join('\n');
  const code = SNIPPETS.filter(({ language }) => ['ts', 'javascript', 'python'].includes(language));
  expect(code.length).toBeGreaterThan(0);
  // The examples have places for the model and the key, so the first line, which says what to install or import, stands for all.
  for (const { where, code: text } of code) expect(run.includes(text.split('\n')[0]!), where).toBe(true);
});

it('docs/api.md shows the examples of webhooks as they are tested', () => {
  const docs = SNIPPETS.filter(({ where }) => where.startsWith('docs/api.md')).map(({ code }) => code);
  for (const file of globSync('tests/examples/*.ts', { cwd: ROOT })) expect(docs, file).toContain(read(file));
});
