/** The files that Cloudflare serves without asking the Worker: which files, and with which headers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ALWAYS, UNLESS_SET } from '../../worker/http/safe-headers.ts';
import { ROOT } from './imports.ts';

it('static files have the headers of the Worker’s answers, and may be cached', () => {
  const lines = readFileSync(join(ROOT, 'worker/portal/_headers'), 'utf8').split('\n');
  const headers = lines
    .filter((line) => line.startsWith('  '))
    .map((line) => line.trim().split(/: (.*)/))
    .map(([name, value]) => [name!.toLowerCase(), value]);
  const { 'cache-control': _, ...expected } = { ...ALWAYS, ...UNLESS_SET };
  expect(Object.fromEntries(headers)).toEqual(expected);
});

it('only what the build writes is served, nothing of the repository', () => {
  const wrangler = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  expect(/\[assets\]\ndirectory = "(.*)"/.exec(wrangler)?.[1]).toBe('worker/portal/assets');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const written = [...scripts.assets.matchAll(/worker\/portal\/assets\/([\w.]+)/g)].map(([, name]) => name);
  expect(written.sort()).toEqual(['_headers', 'app.css', 'playground.js', 'scalar.js']);
});
