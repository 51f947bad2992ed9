/** The pages of docs/security/ say what the code does: each list is compared with the code from which it comes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LINES_MAX } from '../../worker/domain/batch-line.ts';
import { SCHEMA_DEPTH_MAX, STOP_BYTES_MAX, STOPS_MAX } from '../../worker/domain/grammar.ts';
import { DEPTH_MAX } from '../../worker/domain/json-depth.ts';
import { NAME_LENGTH_MAX } from '../../worker/domain/name.ts';
import { ownWords } from '../../worker/domain/password.ts';
import { SESSION_LIMITS } from '../../worker/domain/session-end.ts';
import { type Area, rolesAllowed } from '../../worker/domain/team.ts';
import { FILE_BYTES_MAX, FILE_EXTENSIONS } from '../../worker/domain/upload.ts';
import { projectFiles, ROOT } from './imports.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const SOURCES = projectFiles().filter((path) => /^worker\/.*\.tsx?$/.test(path));
const EDGE = SOURCES.filter((path) => !/^worker\/(portal\/playground\/client|examples|i18n)\//.test(path));

/** The cells of a page's tables, row by row. */
function rowsOf(page: string): string[][] {
  const lines = read(page).split('\n');
  return lines
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

/** The texts in backticks, in all cells or in one of each row. */
function quoted(rows: readonly string[][], cell?: number): string[] {
  const cells = rows.flatMap((row) => (cell === undefined ? row : [row[cell] ?? '']));
  return cells.flatMap((text) => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
}

it('logs.md lists every event that the Worker logs, once, and no other', () => {
  const logged = new Set<string>();
  for (const path of EDGE)
    for (const [, name] of read(path).matchAll(
      /(?:\bevent: |\blog\(|providerUnavailable\(|persistently\(|logSecurity\(\s*)'(\w+)'/g,
    ))
      logged.add(name!);
  for (const [, name] of read('worker/lib/security-log.ts').matchAll(/^ {2}\| '(\w+)'/gm)) logged.add(name!);
  const listed = quoted(rowsOf('docs/security/logs.md'), 0).filter((name) => /^[a-z]+(_[a-z]+)*$/.test(name));
  expect(listed.sort()).toEqual([...logged].sort());
});

it('nothing is logged but one JSON object a line, and nowhere but to the console', () => {
  const others = EDGE.flatMap((path) =>
    [...read(path).matchAll(/console\.\w+\((?!\s*JSON\.stringify\()[^)]*\)/g)].map(
      ([call]) => `${path}: ${call}`,
    ),
  );
  expect(others).toEqual([]);
});

it('data.md puts every table of D1 at one level', () => {
  const schemas = readdirSync(join(ROOT, 'worker/db/schema')).map((file) => read(`worker/db/schema/${file}`));
  const tables = schemas.flatMap((text) =>
    [...text.matchAll(/sqliteTable\(\s*'(\w+)'/g)].map(([, name]) => name!),
  );
  expect(quoted(rowsOf('docs/security/data.md').slice(0, 6), 2).sort()).toEqual(tables.sort());
});

it('communications.md names every host that the code names, and every file that connects', () => {
  const page = read('docs/security/communications.md');
  const hosts = EDGE.flatMap((path) =>
    [
      ...read(path)
        .replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '')
        .matchAll(/['"`](https:\/\/[\w.-]+\.\w+)/g),
    ].map(([, host]) => host!),
  );
  const named = [...new Set(hosts)].filter((host) => host !== 'https://pool.internal');
  expect(named.filter((host) => !page.includes(host))).toEqual([]);
  expect(named.length).toBeGreaterThan(3);
  const callers = EDGE.filter((path) =>
    /(?<![.\w])fetch\((?!request|req)/.test(read(path).replaceAll(/async fetch\(/g, '')),
  );
  expect(callers.filter((path) => !page.includes(path))).toEqual([]);
  expect(callers.length).toBeGreaterThan(5);
});

it('calls to addresses that others name follow no redirect', () => {
  for (const path of [
    'worker/gateway/attempt.ts',
    'worker/fleet/ask-node.ts',
    'worker/notifications/webhook/post.ts',
  ])
    expect(read(path)).toMatch(/redirect: 'manual'/);
});

it('rules.md has the rights of each role', () => {
  const rows = rowsOf('docs/security/rules.md').filter((row) => row.length === 3 && row[0] !== 'area');
  const areas = [...read('worker/domain/team.ts').matchAll(/^ {2}(\w+): \{ read/gm)].map(
    ([, area]) => area as Area,
  );
  const text = (area: Area, mode: 'read' | 'write') => rolesAllowed(mode, area).join(', ');
  expect(rows).toEqual(areas.map((area) => [area, text(area, 'read'), text(area, 'write')]));
});

it('rules.md states the bounds of input', () => {
  const rules = new Map(rowsOf('docs/security/rules.md').map(([input, rule]) => [input, rule]));
  expect(rules.get('body of a request to the API')).toContain(`${DEPTH_MAX} levels`);
  expect(rules.get('body of a request to the API')).toContain(
    `${mib('worker/domain/body-size.ts', 'BODY_BYTES_MAX')} MiB`,
  );
  expect(rules.get('name (person, account, key, endpoint)')).toContain(`1 to ${NAME_LENGTH_MAX} `);
  expect(rules.get('password')).toContain(
    `${constant('worker/identity/auth.ts', 'PASSWORD_LENGTH_MIN')} to ${constant('worker/identity/auth.ts', 'PASSWORD_LENGTH_MAX')} `,
  );
  expect(rules.get('schema, pattern, stop sequences')).toBe(
    `a schema of at most ${SCHEMA_DEPTH_MAX} levels; at most ${STOPS_MAX} stop sequences of ${STOP_BYTES_MAX} bytes`,
  );
  expect(rules.get('URL of a webhook')).toContain(
    constant('worker/notifications/webhook/endpoint-url.ts', 'URL_LENGTH_MAX'),
  );
  expect(rules.get('file of a batch')).toContain(
    `${FILE_BYTES_MAX / 1_048_576} MiB and ${LINES_MAX.toLocaleString('en')} lines`,
  );
  expect(rules.get('form of the portal')).toContain(
    `${Number(constant('worker/portal/frame/security.ts', 'FORM_BYTES_MAX')) / 1024} KiB`,
  );
});

it('api.md states which files are accepted', () => {
  for (const extension of FILE_EXTENSIONS) expect(read('docs/api.md')).toContain(`\`.${extension}\``);
});

it('accounts.md states how long sessions last, and which words a password must not be made of', () => {
  const page = read('docs/accounts.md');
  const { customer, operator } = SESSION_LIMITS;
  expect(page).toContain(`| customer | ${days(customer.absoluteMs)} days | ${days(customer.idleMs)} days |`);
  expect(page).toContain(`| operator | ${hours(operator.absoluteMs)} hours | one hour |`);
  expect(hours(operator.idleMs)).toBe(1);
  const person = { email: 'ada@lovelace.example', name: 'Augusta', accountNames: ['Engines'] };
  expect(ownWords(person)).toEqual(
    expect.arrayContaining(['ada', 'lovelace', 'augusta', 'engines', 'tollgate']),
  );
  expect(page).toContain('parts of the e-mail address, name, names of accounts, "tollgate"');
});

it('accounts.md lists every way to sign in that the portal has', () => {
  const ways = [
    'sign-in',
    'sign-in-code',
    'sign-in-github',
    'sign-in-link',
    'reset-password',
    'verify-email',
    'sign-up',
  ];
  const pages = readdirSync(join(ROOT, 'worker/portal/auth')).filter((file) =>
    /^(sign|reset|verify)/.test(file),
  );
  const parts = new Set(['sign-in-parts.tsx']);
  expect(pages.filter((file) => !parts.has(file)).sort()).toEqual(ways.map((way) => `${way}.tsx`).sort());
  const rows = rowsOf('docs/accounts.md').map(([way]) => way);
  for (const way of [
    'password',
    'link by e-mail',
    'GitHub, if set up',
    'link to reset a password',
    'backup code',
  ])
    expect(rows).toContain(way);
});

it('deploy.md lists every secret with its rotation', () => {
  const [, names = ''] = /export const ROTATING = \[([^\]]*)\]/.exec(read('worker/lib/rotation.ts'))!;
  const secrets = [...names.matchAll(/'(\w+)'/g)].map(([, name]) => name!);
  expect(secrets.length).toBeGreaterThan(3);
  const listed = quoted(rowsOf('docs/deploy.md'), 0);
  expect(secrets.filter((name) => !listed.includes(name))).toEqual([]);
});

it('no secret stands in the sources or the settings', () => {
  const held = projectFiles().filter(
    (path) =>
      !path.startsWith('tests/') && /\.(tsx?|toml|json|md)$/.test(path) && path !== 'package-lock.json',
  );
  const secret =
    /\b(sk|rk)_(live|test)_\w{16,}|whsec_[A-Za-z0-9+/=]{24,}|sk-tg-\w{46}|-----BEGIN [A-Z ]*PRIVATE KEY|"d":\s*"[\w-]{43}"/;
  expect(held.filter((path) => secret.test(read(path)))).toEqual([]);
});

it('no person, key or operator exists before somebody makes one', () => {
  const migrations = readdirSync(join(ROOT, 'migrations')).filter((file) => file.endsWith('.sql'));
  const made =
    /INSERT\s+(OR \w+ )?INTO\s+[`"]?(person|person_credential|account|member|api_key|operator_token)[`"]?\s*\(/i;
  // A migration may copy rows that exist, never write one of its own.
  const statements = migrations.flatMap((file) => read(`migrations/${file}`).split(';'));
  expect(statements.filter((sql) => made.test(sql) && /\bVALUES\b/i.test(sql))).toEqual([]);
  expect(statements.length).toBeGreaterThan(50);
});

it('pages keep nothing in a browser but cookies, listen to no messages, and need no plugin', () => {
  const sources = SOURCES.filter((path) => !path.startsWith('worker/examples/'));
  const api =
    /\b(localStorage|sessionStorage|indexedDB|caches\.open|postMessage|addEventListener\('message'|innerHTML|dangerouslySetInnerHTML|eval\(|<object|<embed|<applet)/;
  const uses = sources.filter((path) => path.startsWith('worker/portal/') && api.test(read(path)));
  expect(uses).toEqual([]);
});

const days = (ms: number) => ms / 86_400_000;
const hours = (ms: number) => ms / 3_600_000;

/** The value of a constant whose module runs only in a Worker. */
function constant(path: string, name: string): string {
  const [, value] = new RegExp(`const ${name} = ([\\d_]+);`).exec(read(path))!;
  return value!.replaceAll('_', '');
}

function mib(path: string, name: string): string {
  const [, value] = new RegExp(`const ${name} = (\\d+) \\* 1024 \\* 1024;`).exec(read(path))!;
  return value!;
}
