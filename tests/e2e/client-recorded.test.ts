/**
 * Conversations that real clients had (`npm run clients`), sent again: each request gets what the client got when it was
 * recorded. What a change alters on purpose is renewed with `npm run clients -- --outcomes`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listFixtures, readFixture } from '../clients/fixture.ts';
import { replayed } from '../clients/replay.ts';
import { PLAN } from '../clients/stack.ts';
import { type Local, startLocal } from './local.ts';

let local: Local;
beforeAll(async () => {
  local = await startLocal({ plan: PLAN, speed: 0 });
});
afterAll(() => local.end());

describe.each(listFixtures())('%s', (client) => {
  const { scenarios } = readFixture(client);

  it.each(Object.keys(scenarios))('gets the same answers in the scenario %s', async (name) => {
    const recorded = scenarios[name]!;
    const now = await replayed(local.stack, recorded);
    const outcomes = ({ turns }: typeof recorded) =>
      turns.map(({ exchanges }) => exchanges.map(({ outcome }) => outcome));
    expect(outcomes(now)).toEqual(outcomes(recorded));
  });
});
