/** The last cent of an account: an answer stops where the credit ends, and concurrent requests spend it once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import { chatBody, expectLaws, type Local, startLocal } from './local.ts';
import { observedAnswer } from './observed-answer.ts';
import { race, raceFaults } from './race.ts';
import { rawPost } from './raw-client.ts';
import { readLedgers } from './stored-state.ts';

const CENT_NANO_USD = 10_000_000;

let local: Local;
beforeAll(async () => {
  // engines without delays, because a cent buys up to eighteen thousand tokens
  local = await startLocal({ speed: 0, settings: { TRIAL_GRANT_NANO_USD: '0' } });
});
afterAll(() => local.end());

/** Creates an account with one cent, and a key whose own limits do not matter. */
async function withOneCent(name: string): Promise<{ apiKey: string; accountId: string }> {
  const origin = local.stack.dev.baseUrl;
  const visitor = new PortalSession(origin);
  await visitor.signInOrSignUp({
    email: `${name}@tollgate.example`,
    password: 'correct horse battery',
    name,
  });
  const apiKey = await createKey(visitor, { name, concurrency: '10000', requestsPerMinute: '100000' });
  const key = await fetch(`${origin}/v1/key`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { account_id: accountId } = (await key.json()) as { account_id: string };
  await operatorApi(local.stack.edge, 'POST', `/accounts/${accountId}/grants`, {
    grant_id: 'one-cent',
    amount_usd: '0.01',
  });
  return { apiKey, accountId };
}

function ask(apiKey: string, body: string) {
  const url = `${local.stack.dev.baseUrl}/v1/chat/completions`;
  return rawPost({ url, headers: { authorization: `Bearer ${apiKey}` }, body });
}

const accountRows = (accountId: string) =>
  readLedgers(local.stateDir).accounts.find((account) => account.accountId === accountId)!;

describe('an account with one cent', () => {
  it.each([
    ['streamed', { stream: true }],
    ['whole', {}],
  ])('is served up to its cent and not past it, %s', async (shape, over) => {
    const { apiKey, accountId } = await withOneCent(`cent-${shape}`);
    const content = 'Go on and on. [[reasoning=20000 answer=40000]]';
    const answer = await ask(apiKey, chatBody(content, { max_tokens: 64_000, ...over }));
    expect(observedAnswer(answer)).toMatchObject({ status: 200, ending: 'cut' });
    expect(answer.body).toContain('"finish_reason":"length"');
    expect(answer.body).toContain('insufficient_balance');

    const { credit, request } = accountRows(accountId);
    const [row] = request!;
    const left = credit!.granted_nano_usd + credit!.paid_nano_usd;
    expect(left).toBeGreaterThanOrEqual(0);
    expect(left).toBeLessThan(row!.output_nano_usd);
    expect(row!.charge_nano_usd).toBe(CENT_NANO_USD - left);
  });
});

/** Ten thousand would take most of a minute; the soak has that many. */
const RACERS = 1_000;

describe(`${RACERS} requests that compete for one cent`, () => {
  it('are charged a cent at most, and none is rejected while the credit would cover it', async () => {
    const { apiKey, accountId } = await withOneCent('race');
    const answers = await race({ url: local.stack.dev.baseUrl, apiKey, requests: RACERS, width: 100 });
    expect(raceFaults(answers, accountRows(accountId), CENT_NANO_USD)).toEqual([]);
    await expectLaws(local, { clients: answers.map((answer) => ({ ...observedAnswer(answer), accountId })) });
  });
});
