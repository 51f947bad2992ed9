/** The emulator answers as real engines did when the same was asked of them, frame by frame (docs/engine-kit.md). */
import { describe, expect, it } from 'vitest';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { RELEASES, type Release, WEIGHT_VERSION } from '../../engine/folder.ts';
import { TOLD } from '../../engine/recording/cases.ts';
import { comparable, shapeOf, typesOf } from '../../engine/recording/comparable.ts';
import { type Answer, exchange, type Target } from '../../engine/recording/exchange.ts';
import { fileOf, type Recording, readLines, redacted } from '../../engine/recording/recording.ts';
import { SCENARIOS } from '../../engine/recording/scenarios.ts';
import { emulate } from './client.ts';

const KEYS = { user: 'key', admin: 'admin-key' };

/** An engine of the same size as the recorded one, with the tokens that its weights wrote. */
async function emulator(
  release: Release,
  tokens?: readonly string[],
  options: Partial<EmulatorOptions> = {},
): Promise<Target> {
  const { url } = await emulate({
    version: release,
    apiKey: KEYS.user,
    adminApiKey: KEYS.admin,
    weightVersion: WEIGHT_VERSION,
    priorities: { enabled: true },
    maxQueuedRequests: 2,
    pageTokens: 1,
    override: { maxRunningRequests: 2, kvCapacityTokens: 20_000 },
    script: () => tokens,
    ...options,
  });
  return { url, keys: KEYS };
}

describe.each(RELEASES)('as %s', (release) => {
  const recordings = readLines<Recording>(fileOf(release, 'exchanges'));

  const selfTold = recordings.filter(({ name }) => name in TOLD);
  it.each(selfTold.map((each) => [each.name, each] as const))('%s', async (name, { ask, answer }) => {
    const { body, ...head } = await exchange(await emulator(release), ask);
    const { body: recorded, ...recordedHead } = answer;
    expect(head).toEqual(recordedHead);
    // An emulator tells less than an engine, and nothing else.
    if (name === 'metrics') expect(recorded).toEqual(expect.arrayContaining(metricsIn(body as string)));
    else if (name === 'server-info') expect(recorded).toMatchObject(typesOf(body as object));
    else expect(shapeOf(recorded)).toMatchObject(shapeOf(body));
  });

  const asked = recordings.filter(({ name }) => !(name in TOLD));
  it.each(asked.map((each) => [each.name, each] as const))('%s', async (_, recording) => {
    const { ask, answer, tokens } = recording;
    const target = await emulator(release, tokens);
    // Recorded were requests whose prompts were in the cache already.
    if (tokens) await exchange(target, ask);
    expect(comparable(redacted(await exchange(target, ask)))).toEqual(comparable(answer));
  });
});

/** Long answers, five times as fast as an engine with a token every 50 ms, so that there is time to abort them. */
const LONG_ANSWER = Array.from({ length: 6_000 }, () => ' round');

describe.each(RELEASES)('as %s, with several requests:', (release) => {
  const recorded = readLines<{ name: string; outcome: unknown }>(fileOf(release, 'scenarios'));

  it('has all scenarios', () => {
    expect(recorded.map(({ name }) => name).sort()).toEqual(Object.keys(SCENARIOS).sort());
  });

  it.each(recorded.map((each) => [each.name, each] as const))('%s', async (name, { outcome }) => {
    const target = await emulator(release, LONG_ANSWER, {
      speed: 5,
      override: { maxRunningRequests: 2, kvCapacityTokens: 20_000, decodeBaseMs: 50, prefillBaseMs: 50 },
    });
    expect(told(await SCENARIOS[name]!(target))).toEqual(told(outcome));
  });
});

/** Answers within an outcome are made comparable as they are elsewhere. */
function told(outcome: unknown): unknown {
  if (typeof outcome !== 'object' || outcome === null) return outcome;
  if (!('status' in outcome) || !('headers' in outcome))
    return Object.fromEntries(Object.entries(outcome).map(([name, each]) => [name, told(each)]));
  return comparable(redacted(outcome as Answer));
}

/** Type and name of each metric. */
function metricsIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, named]) => named!);
}
