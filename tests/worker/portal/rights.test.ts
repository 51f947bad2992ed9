/**
 * Access rights: every route of the portal × every role × resources of another account, from the portal's own route table. A
 * route that is missing in `ACCESS` fails the first test, so a new route cannot be forgotten.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { addBatch } from '../../../worker/db/batches.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { type Area, isRoleAllowed, type MemberRole } from '../../../worker/domain/team.ts';
import { config } from '../../../worker/env.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { db, TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail } from './browser.ts';

type Access =
  /** everybody, signed in or not */
  | { by: 'anybody' }
  /** signed in, whatever the role: the page is about the person alone, or the resource decides */
  | { by: 'person' }
  | { by: 'role'; area: Area }
  | { by: 'operator' };

/** Access by path; the longest prefix that matches counts. */
const ACCESS: Record<string, Access> = {
  '/': { by: 'anybody' },
  '/language': { by: 'anybody' },
  '/sign-up': { by: 'anybody' },
  '/sign-in': { by: 'anybody' },
  '/sign-out': { by: 'anybody' },
  '/reset-password': { by: 'anybody' },
  '/verify-email': { by: 'anybody' },
  '/mailbox': { by: 'anybody' },
  '/docs': { by: 'anybody' },
  '/pricing': { by: 'anybody' },
  '/privacy': { by: 'anybody' },
  '/terms': { by: 'anybody' },
  '/status': { by: 'anybody' },
  '/status.json': { by: 'anybody' },
  '/invitation': { by: 'anybody' },
  '/account/closed': { by: 'anybody' },
  '/start': { by: 'person' },
  '/settings': { by: 'person' },
  '/team/switch': { by: 'person' },
  '/team/members/:personId/remove': { by: 'person' },
  '/team': { by: 'role', area: 'team' },
  '/keys': { by: 'role', area: 'keys' },
  '/aliases': { by: 'role', area: 'keys' },
  '/usage': { by: 'role', area: 'usage' },
  '/requests': { by: 'role', area: 'usage' },
  '/batches': { by: 'role', area: 'batches' },
  '/batches/:batchId/files': { by: 'role', area: 'batch_results' },
  '/billing': { by: 'role', area: 'billing' },
  '/alerts': { by: 'role', area: 'alerts' },
  '/playground': { by: 'role', area: 'playground' },
  '/account': { by: 'role', area: 'account' },
  '/operator': { by: 'operator' },
};

interface Route {
  readonly method: string;
  readonly path: string;
  readonly access: Access | undefined;
}

/** The routes that respond. Middleware is registered for all methods and is left out. */
const ROUTES: Route[] = [
  ...new Map(
    portal.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => [`${method} ${path}`, { method, path, access: accessOf(path) }]),
  ).values(),
];

function accessOf(path: string): Access | undefined {
  const prefixes = Object.keys(ACCESS).filter(
    (prefix) => path === prefix || (prefix !== '/' && path.startsWith(`${prefix}/`)),
  );
  return ACCESS[prefixes.sort((a, b) => b.length - a.length)[0] ?? ''];
}

const routesFor = <K extends Access['by']>(by: K) =>
  ROUTES.filter((route): route is Route & { access: Extract<Access, { by: K }> } => route.access?.by === by);

/** The path with every parameter filled in, by these ids or by ids that do not exist. */
function fillPath(path: string, ids: Record<string, string>): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, (_, name: string, options?: string) => {
    if (options) return options.slice(1, -1).split('|')[0]!;
    return ids[name] ?? 'nobody';
  });
}

const send = (browser: Browser, method: string, path: string) =>
  method === 'GET' ? browser.get(path) : browser.post(path, {});

/** One browser per role of one account, one without an account, and one of another account. */
const browsers = {} as Record<MemberRole | 'stranger' | 'elsewhere', Browser>;
/** Ids of resources of the account whose members have the roles. */
let ids: Record<string, string>;

beforeAll(async () => {
  const harness = new TaskHarness();
  const ownerEmail = await signUpRoles(harness);
  ids = await createResources(harness, ownerEmail);
});

/** Signs up the owner of an account and a member for each other role. @returns the owner's e-mail address */
async function signUpRoles(harness: TaskHarness): Promise<string> {
  const newBrowser = () => new Browser('en', harness.env);
  browsers.stranger = newBrowser();
  browsers.elsewhere = newBrowser();
  await browsers.elsewhere.signUp('Eve');
  browsers.owner = newBrowser();
  const { email } = await browsers.owner.signUpConfirmed('Ada');
  for (const role of ['billing', 'developer', 'viewer'] as const) {
    const invited = newEmail();
    await harness.drain();
    harness.emails.splice(0);
    await browsers.owner.post('/team', { email: invited, role });
    await harness.drain();
    const path = harness.emails
      .splice(0)
      .map(({ text }) => text.match(/\/invitation\/[\w-]+/)?.[0])
      .find(Boolean)!;
    browsers[role] = newBrowser();
    await browsers[role].post('/sign-up', {
      name: role,
      email: invited,
      password: 'correct horse battery',
      next: path,
    });
    await browsers[role].post(path, {});
  }
  return email;
}

/** Creates one resource of each kind in the owner's account. @returns their ids by path parameter */
async function createResources(harness: TaskHarness, ownerEmail: string): Promise<Record<string, string>> {
  const personId = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(ownerEmail)
    .first<string>('id');
  const accountId = (await bindings.DB.prepare('SELECT account_id FROM member WHERE person_id = ?')
    .bind(personId)
    .first<string>('account_id'))!;
  const nowMs = Date.now();
  const { row } = await createKey(db, await pepperKey(config(bindings)), {
    accountId,
    name: 'theirs',
    nowMs,
  });
  const batchId = newId('batch', nowMs);
  await addBatch(db, {
    id: batchId,
    accountId,
    keyId: row.id,
    endpoint: '/v1/chat/completions',
    inputFileId: newId('file', nowMs),
    state: 'in_progress',
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 1,
  });
  const { id: endpointId } = await harness.endpoint(accountId);
  await browsers.owner.post('/team', { email: newEmail(), role: 'viewer' });
  const invitationId = await bindings.DB.prepare(
    'SELECT id FROM invitation WHERE account_id = ? AND accepted_at_ms IS NULL',
  )
    .bind(accountId)
    .first<string>('id');
  const sessionId = await bindings.DB.prepare('SELECT id FROM person_session WHERE person_id = ?')
    .bind(personId)
    .first<string>('id');
  return {
    keyId: row.id,
    id: endpointId,
    personId: personId!,
    invitationId: invitationId!,
    sessionId: sessionId!,
    accountId,
    requestId: newId('req', nowMs),
    batchId,
  };
}

it('every route has an access rule', () => {
  expect(ROUTES.filter(({ access }) => access === undefined)).toEqual([]);
  expect(ROUTES.length).toBeGreaterThan(50);
});

it('a stranger is sent to sign in, and operator pages do not exist for them', async () => {
  const violations: unknown[] = [];
  for (const { method, path } of [...routesFor('person'), ...routesFor('role'), ...routesFor('operator')]) {
    const response = await send(browsers.stranger, method, fillPath(path, ids));
    const isSentAway = response.status === 303 && response.headers.get('location')!.startsWith('/sign-in');
    const expected = path.startsWith('/operator') ? response.status === 404 : isSentAway;
    if (!expected) violations.push([method, path, response.status]);
  }
  expect(violations).toEqual([]);
});

it('operator pages do not exist for customers, whatever their role', async () => {
  const violations: unknown[] = [];
  for (const role of ['owner', 'billing', 'developer', 'viewer'] as const)
    for (const { method, path } of routesFor('operator')) {
      const { status } = await send(browsers[role], method, fillPath(path, ids));
      if (status !== 404) violations.push([role, method, path, status]);
    }
  expect(violations).toEqual([]);
});

it('a resource of another account is 404', async () => {
  const violations: unknown[] = [];
  for (const { method, path } of [...routesFor('person'), ...routesFor('role')].filter((route) =>
    route.path.includes(':'),
  )) {
    const { status } = await send(browsers.elsewhere, method, fillPath(path, ids));
    if (status !== 404) violations.push([method, path, status]);
  }
  expect(violations).toEqual([]);
});

describe.each(['billing', 'developer', 'viewer', 'owner'] as const)('as %s', (role) => {
  it('forbidden routes are 403 before anything is read, and allowed ones are not', async () => {
    const violations: unknown[] = [];
    for (const { method, path, access } of routesFor('role')) {
      const isAllowed = isRoleAllowed(role, method === 'GET' ? 'read' : 'write', access.area);
      // unknown ids and no fields: allowed requests fail for that reason, and nothing is changed
      const { status } = await send(browsers[role], method, fillPath(path, {}));
      if ((status === 403) === isAllowed) violations.push([method, path, status]);
    }
    expect(violations).toEqual([]);
  });
});

it('a form of another site is rejected on every route', async () => {
  const violations: unknown[] = [];
  for (const { path } of ROUTES.filter(({ method }) => method === 'POST')) {
    const response = await browsers.owner.post(fillPath(path, ids), {}, 'https://evil.example');
    if (response.status !== 403) violations.push([path, response.status]);
  }
  expect(violations).toEqual([]);
});
