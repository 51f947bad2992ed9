/**
 * Every route of the portal × every role × another account's things, from the portal's own route table: a route that is
 * not said here to be somebody's fails the first test, so a new one cannot be forgotten.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { addBatch } from '../../../worker/db/batches.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { type Area, type MemberRole, mayRole } from '../../../worker/domain/team.ts';
import { config } from '../../../worker/env.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { Desk, db } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail } from './browser.ts';

type Access =
  /** strangers too */
  | { by: 'anybody' }
  /** signed in, whatever the role: about the person alone, or decided by what is asked about */
  | { by: 'person' }
  | { by: 'role'; area: Area }
  | { by: 'operator' };

/** By the longest beginning that fits. */
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

/** Guards and the like stand for all methods; only `GET` and `POST` answer. */
const ROUTES: Route[] = [
  ...new Map(
    portal.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => [`${method} ${path}`, { method, path, access: accessOf(path) }]),
  ).values(),
];

function accessOf(path: string): Access | undefined {
  const fits = Object.keys(ACCESS).filter(
    (start) => path === start || (start !== '/' && path.startsWith(`${start}/`)),
  );
  return ACCESS[fits.sort((a, b) => b.length - a.length)[0] ?? ''];
}

const of = <K extends Access['by']>(by: K) =>
  ROUTES.filter((route): route is Route & { access: Extract<Access, { by: K }> } => route.access?.by === by);

/** With every parameter filled in: ids of the account `theirs`, or such as nobody has. */
function filled(path: string, ids: Record<string, string>): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, (_, name: string, options?: string) => {
    if (options) return options.slice(1, -1).split('|')[0]!;
    return ids[name] ?? 'nobody';
  });
}

const send = (at: Browser, method: string, path: string) =>
  method === 'GET' ? at.get(path) : at.post(path, {});

const browsers = {} as Record<MemberRole | 'stranger' | 'elsewhere', Browser>;
/** Things of the account in which the roles are. */
let ids: Record<string, string>;

beforeAll(async () => {
  const desk = new Desk();
  const at = () => new Browser('en', desk.env);
  browsers.stranger = at();
  browsers.elsewhere = at();
  await browsers.elsewhere.signUp('Eve');
  browsers.owner = at();
  const { email } = await browsers.owner.signUp('Ada');
  for (const role of ['billing', 'developer', 'viewer'] as const) {
    const invited = newEmail();
    await desk.drain();
    desk.letters.splice(0);
    await browsers.owner.post('/team', { email: invited, role });
    await desk.drain();
    const path = desk.letters
      .splice(0)
      .map(({ text }) => text.match(/\/invitation\/[\w-]+/)?.[0])
      .find(Boolean)!;
    browsers[role] = at();
    await browsers[role].post('/sign-up', {
      name: role,
      email: invited,
      password: 'correct horse battery',
      next: path,
    });
    await browsers[role].post(path, {});
  }
  const personId = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(email)
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
  const { id: endpointId } = await desk.endpoint(accountId);
  await browsers.owner.post('/team', { email: newEmail(), role: 'viewer' });
  const invitationId = await bindings.DB.prepare(
    'SELECT id FROM invitation WHERE account_id = ? AND accepted_at_ms IS NULL',
  )
    .bind(accountId)
    .first<string>('id');
  const sessionId = await bindings.DB.prepare('SELECT id FROM person_session WHERE person_id = ?')
    .bind(personId)
    .first<string>('id');
  ids = {
    keyId: row.id,
    id: endpointId,
    personId: personId!,
    invitationId: invitationId!,
    sessionId: sessionId!,
    accountId,
    requestId: newId('req', nowMs),
    batchId,
  };
});

it('every route is somebody’s', () => {
  expect(ROUTES.filter(({ access }) => access === undefined)).toEqual([]);
  expect(ROUTES.length).toBeGreaterThan(50);
});

it('a stranger is sent to sign in, and learns nothing of the operator’s pages', async () => {
  const found: unknown[] = [];
  for (const { method, path } of [...of('person'), ...of('role'), ...of('operator')]) {
    const answer = await send(browsers.stranger, method, filled(path, ids));
    const isSentAway = answer.status === 303 && answer.headers.get('location')!.startsWith('/sign-in');
    const expected = path.startsWith('/operator') ? answer.status === 404 : isSentAway;
    if (!expected) found.push([method, path, answer.status]);
  }
  expect(found).toEqual([]);
});

it('the operator’s pages do not exist for customers, whatever they are in their account', async () => {
  const found: unknown[] = [];
  for (const role of ['owner', 'billing', 'developer', 'viewer'] as const)
    for (const { method, path } of of('operator')) {
      const { status } = await send(browsers[role], method, filled(path, ids));
      if (status !== 404) found.push([role, method, path, status]);
    }
  expect(found).toEqual([]);
});

it('what names another account’s thing is 404, in every role', async () => {
  const found: unknown[] = [];
  for (const { method, path } of [...of('person'), ...of('role')].filter((route) =>
    route.path.includes(':'),
  )) {
    const { status } = await send(browsers.elsewhere, method, filled(path, ids));
    if (status !== 404) found.push([method, path, status]);
  }
  expect(found).toEqual([]);
});

describe.each(['billing', 'developer', 'viewer', 'owner'] as const)('as %s', (role) => {
  it('what the role may not is 403 before anything is looked at, and what it may is not', async () => {
    const found: unknown[] = [];
    for (const { method, path, access } of of('role')) {
      const may = mayRole(role, method === 'GET' ? 'read' : 'write', access.area);
      // with nobody's ids and no fields: what is allowed is refused for that, and nothing is changed
      const { status } = await send(browsers[role], method, filled(path, {}));
      if ((status === 403) === may) found.push([method, path, status]);
    }
    expect(found).toEqual([]);
  });
});

it('a form that another site sends is refused on every route', async () => {
  const found: unknown[] = [];
  for (const { path } of ROUTES.filter(({ method }) => method === 'POST')) {
    const answer = await browsers.owner.post(filled(path, ids), {}, 'https://evil.example');
    if (answer.status !== 403) found.push([path, answer.status]);
  }
  expect(found).toEqual([]);
});
