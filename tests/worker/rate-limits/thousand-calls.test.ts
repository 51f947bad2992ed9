/**
 * A thousand calls a minute of every write, by one caller. No more than the limit of docs/limits.md is carried out, the
 * rest is told when to try again and writes nothing, and another caller is served meanwhile. Time is virtual.
 */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { api } from '../../../worker/api/index.ts';
import { billing } from '../../../worker/billing/index.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { DEPLOY_TOKEN_ACTOR } from '../../../worker/db/operator-tokens.ts';
import { OPERATOR_SCOPES, OPERATOR_TOKEN_DAYS_MAX } from '../../../worker/domain/operator-scopes.ts';
import { RATE_RULES, type RateRequest, type RateRuleName } from '../../../worker/domain/rate-limit.ts';
import { config, type Env } from '../../../worker/env.ts';
import { fleet } from '../../../worker/fleet/index.ts';
import { makeOperatorToken } from '../../../worker/identity/operator-tokens.ts';
import worker from '../../../worker/index.ts';
import { operator } from '../../../worker/operator/index.ts';
import { portal } from '../../../worker/portal/index.tsx';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { db, newAccount } from '../notifications/fixtures.ts';
import { Browser, bindings, ORIGIN, PASSWORD } from '../portal/browser.ts';
import { filled, limitedRoutes, type Route } from './write-routes.ts';

const CALLS = 1_000;
const MINUTE_MS = 60_000;
/** After the first refusal the counter says the same until the minute ends, so that only each so many-th call is made. */
const SAMPLE = 240;
/** Rows that one call may write. A sign-up writes most: person, password, session, account, member, key, audit, e-mail. */
const ROWS_PER_CALL = 8;

/**
 * What a minute allows here at most, so that a route takes few calls to reach it. The rule that counted is checked by
 * its name, and the numbers of the rules by routes.test.ts and rate-limiter.test.ts.
 */
const SMALL = 6;
/** Longer than the calls of a table take on a machine that is busy with everything else. */
const HANGS_MS = 600_000;

/** The rules that have counted the calls of a route. */
const counted = new Set<RateRuleName>();

/** An environment whose counters are the real ones, with small limits. */
const small: Env = {
  ...bindings,
  RATE_LIMITER: {
    getByName: (name: string) => {
      const counter = bindings.RATE_LIMITER.getByName(name);
      const smaller = ({ rule, limit }: RateRequest) => {
        counted.add(rule);
        return { rule, limit: RATE_RULES[rule].windowMs === MINUTE_MS ? Math.min(SMALL, limit) : limit };
      };
      return {
        take: (requests: readonly RateRequest[], nowMs: number) => counter.take(requests.map(smaller), nowMs),
        forgive: (rule: RateRuleName) => counter.forgive(rule),
      };
    },
  } as unknown as Env['RATE_LIMITER'],
};

let nowMs = Date.now();
let calls = 0;

/** Plausible values of every field of every form and body. Each call has a name and an address of its own. */
function fields(): Record<string, string> {
  calls += 1;
  return {
    name: `N ${calls}`,
    accountName: `A ${calls}`,
    email: `call-${calls}@example.com`,
    role: 'viewer',
    url: `https://hooks.example.com/${calls}`,
    capUsd: '',
    capPeriod: 'month',
    cap: '1',
    requestsPerMinute: '60',
    tokensPerMinute: '',
    concurrency: '5',
    expiryDays: '',
    amount: '20',
    otherUsd: '',
    code: `CODE${calls}`,
    made: `code_${calls}`,
    current: 'wrong password',
    password: PASSWORD,
    language: 'fr',
    legalName: `L ${calls}`,
    belowUsd: '1',
    lowBalanceUsd: String((calls % 90) + 1),
    node: `node-${calls}`,
    model: 'deepseek-r1-0528',
    hardware: '8xmi300x',
    days: '7',
    note: 'n',
    input_file_id: 'file_none',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  };
}

/** The number of rows of all tables. */
async function countRows(): Promise<number> {
  const { results } = await bindings.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 1) <> '_' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'd1%'",
  ).all<{ name: string }>();
  const counts = await bindings.DB.batch<{ n: number }>(
    results.map(({ name }) => bindings.DB.prepare(`SELECT count(*) AS n FROM "${name}"`)),
  );
  return counts.reduce((sum, { results: [row] }) => sum + row!.n, 0);
}

interface Caller {
  readonly call: (route: Route) => Promise<Response>;
}

interface Callers {
  readonly caller: Caller;
  /** whose calls must still be served */
  readonly other: Caller;
  /** that must count the caller's calls */
  readonly rule: RateRuleName;
}

let routesSeen = 0;

/** Makes a thousand calls within a minute. @param rule that must count them @returns what is wrong */
async function hammer(route: Route, { caller, other, rule }: Callers): Promise<string[]> {
  counted.clear();
  const wrong: string[] = [];
  const rowsBefore = await countRows();
  let carriedOut = 0;
  let rowsAtLimit: number | null = null;
  for (let i = 0; i < CALLS; i += rowsAtLimit === null ? 1 : SAMPLE) {
    vi.setSystemTime(nowMs + Math.floor((i * MINUTE_MS) / CALLS));
    const { status, headers } = await caller.call(route);
    if (status >= 500) {
      wrong.push(`answers ${status}`);
      break;
    }
    if (status !== 429) {
      carriedOut += 1;
      if (rowsAtLimit !== null) wrong.push('is carried out after the limit');
      continue;
    }
    rowsAtLimit ??= await countRows();
    const waitS = Number(headers.get('retry-after'));
    if (!(waitS >= 1 && waitS <= 86_400)) wrong.push(`says to retry after ${headers.get('retry-after')}`);
    if (headers.get('x-ratelimit-remaining-requests') !== '0') wrong.push('does not say that none remains');
  }
  const rowsAfter = await countRows();
  if (rowsAtLimit === null) wrong.push('is never refused');
  else if (rowsAfter !== rowsAtLimit) wrong.push(`writes ${rowsAfter - rowsAtLimit} rows while it refuses`);
  if (!counted.has(rule)) wrong.push(`is not counted by ${rule}`);
  // a form that ends the session is a visitor's from then on
  const most = rule === 'form_person' && counted.has('form_network') ? 2 * SMALL : SMALL;
  if (carriedOut > most) wrong.push(`is carried out ${carriedOut} times, and ${most} are allowed`);
  if (rowsAfter - rowsBefore > ROWS_PER_CALL * most) wrong.push(`writes ${rowsAfter - rowsBefore} rows`);
  const { status } = await other.call(route);
  if (status === 429 || status >= 500) wrong.push(`answers another caller with ${status}`);
  routesSeen += 1;
  return wrong;
}

async function hammerAll(
  routes: readonly Route[],
  callersOf: (route: Route) => Promise<Callers>,
): Promise<string[]> {
  const violations: string[] = [];
  for (const route of routes) {
    // by then no minute of an earlier route counts
    nowMs += 2 * MINUTE_MS;
    vi.setSystemTime(nowMs);
    const wrong = await hammer(route, await callersOf(route));
    violations.push(...[...new Set(wrong)].map((what) => `${route.method} ${route.path} ${what}`));
  }
  return violations;
}

const writesOf = (app: { routes: readonly Route[] }, prefix = '') =>
  limitedRoutes(app, prefix).filter(({ method }) => method !== 'GET');

async function send({ method, path }: Route, headers: Record<string, string>): Promise<Response> {
  const context = createExecutionContext();
  const init = {
    method,
    headers: { origin: ORIGIN, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields()),
  };
  const response = await worker.fetch(new Request(ORIGIN + filled(path), init), small, context);
  const whole = new Response(await response.arrayBuffer(), response);
  await waitOnExecutionContext(context);
  return whole;
}

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: nowMs });
});

afterAll(() => {
  vi.useRealTimers();
});

describe('of a thousand calls a minute', { timeout: HANGS_MS }, () => {
  it('a person’s forms are carried out as often as a person may, on every page, the operator’s included', async () => {
    const signedUp = async () => {
      const browser = new Browser('en', small);
      const { email } = await browser.signUp();
      await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
      return browser;
    };
    const browsers = { one: await signedUp(), other: await signedUp() };
    const callerOf = (browser: Browser): Caller => ({
      call: ({ path }) => browser.post(filled(path), fields()),
    });
    const routes = writesOf(portal);
    expect(routes.length).toBeGreaterThan(50);
    const violations = await hammerAll(routes, async () => {
      for (const name of ['one', 'other'] as const)
        if ((await browsers[name].get('/settings')).status !== 200) browsers[name] = await signedUp();
      return {
        caller: callerOf(browsers.one),
        other: callerOf(browsers.other),
        rule: 'form_person',
      };
    });
    expect(violations).toEqual([]);
  });

  it('a visitor’s forms are carried out as often as their network may', async () => {
    const routes = writesOf(portal).filter(({ path }) => !/^\/operator|:/.test(path));
    const violations = await hammerAll(routes, async () => {
      const [one, other] = [new Browser('en', small), new Browser('en', small)];
      const callerOf = (browser: Browser): Caller => ({
        // each as if a browser that has no cookies yet
        call: ({ path }) => {
          browser.cookies.clear();
          return browser.post(filled(path), fields());
        },
      });
      return { caller: callerOf(one), other: callerOf(other), rule: 'form_network' };
    });
    expect(violations).toEqual([]);
  });

  it('a key’s changes and tokens are carried out as often as the key may', async () => {
    const pepper = await pepperKey(config(bindings));
    const newCaller = async (scope: 'inference' | 'management'): Promise<Caller> => {
      const { key } = await createKey(db, pepper, { accountId: await newAccount(), name: 'k', scope, nowMs });
      return { call: (route) => send(route, { authorization: `Bearer ${key}` }) };
    };
    const routes = writesOf(api);
    expect(routes.length).toBeGreaterThan(7);
    const violations = await hammerAll(routes, async ({ path }) => {
      const scope = /^\/v1\/(keys|aliases)/.test(path) ? 'management' : 'inference';
      const isStored = path.startsWith('/v1/responses/');
      const rule = path === '/v1/tokens' ? 'token_key' : isStored ? 'stored_key' : 'change_key';
      return { caller: await newCaller(scope), other: await newCaller(scope), rule };
    });
    expect(violations).toEqual([]);
  });

  it('enrolments and the sandbox’s forms are carried out as often as their network may', async () => {
    const from = (address: string): Caller => ({
      call: (route) => send(route, { 'cf-connecting-ip': address }),
    });
    const [caller, other] = [from('10.200.1.1'), from('10.200.2.1')];
    const routes = [...writesOf(fleet), ...writesOf(billing)];
    expect(routes.length).toBeGreaterThan(2);
    const violations = await hammerAll(routes, async ({ path }) => {
      const rule = path.startsWith('/fleet') ? 'enrol_network' : 'form_network';
      return { caller, other, rule };
    });
    expect(violations).toEqual([]);
  });

  it('an operator token’s changes are carried out as often as the token may', async () => {
    const newCaller = async (name: string): Promise<Caller> => {
      const order = {
        name,
        scopes: [...OPERATOR_SCOPES],
        days: OPERATOR_TOKEN_DAYS_MAX,
        actor: DEPLOY_TOKEN_ACTOR,
        nowMs,
      };
      const made = await makeOperatorToken(bindings, order);
      return { call: (route) => send(route, { authorization: `Bearer ${made!.token}` }) };
    };
    // the token of the deployment may call every route, and others not all of them
    const authorization = `Bearer ${config(bindings).operatorToken}`;
    const caller: Caller = { call: (route) => send(route, { authorization }) };
    const other = await newCaller('other');
    const routes = writesOf(operator, '/operator/api');
    expect(routes.length).toBeGreaterThan(12);
    const violations = await hammerAll(routes, async () => ({ caller, other, rule: 'change_operator' }));
    expect(violations).toEqual([]);
  });
});

it('that is so for every write that there is', () => {
  expect(routesSeen).toBeGreaterThan(90);
});
