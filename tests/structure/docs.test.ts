/** Documents and comments name files that exist: every relative link, and every path in backticks or prose. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectFiles, ROOT } from './imports.ts';

const FILES = projectFiles();
const DOCUMENTS = FILES.filter((path) => path.endsWith('.md'));
const README_WORDS_MAX = 1_500;

/** `[text](target)` and `![text](target)`. */
const LINK = /\]\(([^)\s]+)\)/g;
/** A path of at least one folder that ends in a file of ours. */
const PATH = /(?<![\w./@-])((?:[\w-]+\/)+[\w.-]+\.(?:tsx?|sql|md|toml|css|svg|png))(?![\w/])/g;
/** The folders from which comments and documents name files. */
const BASES = [
  '',
  'worker',
  'worker/gateway',
  'worker/domain',
  'worker/portal',
  'gpu-pool',
  'gpu-pool/agent',
  'tests',
];

describe.each(DOCUMENTS)('%s', (document) => {
  const text = readFileSync(join(ROOT, document), 'utf8');

  it('links to files and headings that exist', () => {
    const targets = [...text.matchAll(LINK)].map(([, target]) => target!);
    const broken = targets.filter((target) => !/^[a-z]+:/.test(target) && !leads(document, target));
    expect(broken).toEqual([]);
  });

  it('names files that exist', () => {
    expect(missingPaths(document, text)).toEqual([]);
  });
});

it('the README is short enough to be read', () => {
  const words = readFileSync(join(ROOT, 'README.md'), 'utf8').split(/\s+/).length;
  expect(words).toBeLessThanOrEqual(README_WORDS_MAX);
});

it('comments name files that exist', () => {
  const sources = FILES.filter((path) => /\.tsx?$/.test(path) || path.endsWith('.toml'));
  const missing = sources.flatMap((source) =>
    missingPaths(source, commentsOf(readFileSync(join(ROOT, source), 'utf8'))).map(
      (path) => `${source}: ${path}`,
    ),
  );
  expect(missing).toEqual([]);
});

function leads(document: string, target: string): boolean {
  const [path, heading] = target.split('#');
  const file = path === '' ? document : join(dirname(document), path!);
  if (!existsSync(join(ROOT, file))) return false;
  return heading === undefined || headingsOf(file).includes(heading);
}

/** The anchors that GitHub gives to a document's headings. */
function headingsOf(document: string): string[] {
  const headings = readFileSync(join(ROOT, document), 'utf8').matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function missingPaths(from: string, text: string): string[] {
  const bases = [...BASES, dirname(from), join(dirname(from), '..')];
  const named = [...text.matchAll(PATH)].map(([, path]) => path!);
  return named.filter((path) => !bases.some((base) => existsSync(join(ROOT, base, path))));
}

function commentsOf(source: string): string {
  return (source.match(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*|^#.*/gm) ?? []).join('\n');
}
