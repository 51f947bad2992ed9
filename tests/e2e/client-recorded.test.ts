/**
 * Conversations that real clients had (`npm run clients`), sent again: each request gets what the client got when it was
 * recorded. What a change alters on purpose is renewed with `npm run clients -- --outcomes`.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listFixtures, readFixture } from '../clients/fixture.ts';
import { replayed } from '../clients/replay.ts';
import { PLAN } from '../clients/stack.ts';
import { type Local, startLocal } from './local.ts';

let local: Local;
beforeAll(async () => {
  local = await startLocal({ plan: PLAN, speed: 0 });
});
afterAll(() => local.end());

const RECORDED = listFixtures().flatMap((client) =>
  Object.entries(readFixture(client).scenarios).map(([name, scenario]) => ({ client, name, scenario })),
);
// The edge takes seconds to know of another context, so those that need one come last.
const SORTED = RECORDED.toSorted((a, b) => (a.scenario.contextTokens ?? 0) - (b.scenario.contextTokens ?? 0));

it.each(SORTED)('$client gets the same answers in the scenario $name', async ({ scenario }) => {
  const now = await replayed(local.stack, scenario);
  const outcomes = ({ turns }: typeof scenario) =>
    turns.map(({ exchanges }) => exchanges.map(({ outcome }) => outcome));
  expect(outcomes(now)).toEqual(outcomes(scenario));
});
