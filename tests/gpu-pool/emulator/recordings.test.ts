/** The emulator answers as real engines did when the same was asked of them, frame by frame (docs/engine-kit.md). */
import { describe, expect, it } from 'vitest';
import type { ChatRequest } from '../../../gpu-pool/emulator/request.ts';
import { RELEASES, WEIGHT_VERSION } from '../../engine/folder.ts';
import { TOLD } from '../../engine/recording/cases.ts';
import { comparable, shapeOf, typesOf } from '../../engine/recording/comparable.ts';
import { exchange } from '../../engine/recording/exchange.ts';
import { fileOf, type Recording, readLines, redacted } from '../../engine/recording/recording.ts';
import { emulate } from './client.ts';

const KEYS = { user: 'key', admin: 'admin-key' };

describe.each(RELEASES)('as %s', (release) => {
  const recordings = readLines<Recording>(fileOf(release, 'exchanges'));

  /** An engine of the same size as the recorded one, with the tokens that its weights wrote. */
  async function emulator(tokens: readonly string[] | undefined) {
    const { url } = await emulate({
      version: release,
      apiKey: KEYS.user,
      adminApiKey: KEYS.admin,
      weightVersion: WEIGHT_VERSION,
      priorities: { enabled: true },
      maxQueuedRequests: 2,
      pageTokens: 1,
      override: { maxRunningRequests: 2, kvCapacityTokens: 20_000 },
      script: (_: ChatRequest) => tokens,
    });
    return { url, keys: KEYS };
  }

  const told = recordings.filter(({ name }) => name in TOLD);
  it.each(told.map((each) => [each.name, each] as const))('%s', async (name, { ask, answer }) => {
    const { body, ...head } = await exchange(await emulator(undefined), ask);
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
    const target = await emulator(tokens);
    // Recorded were requests whose prompts were in the cache already.
    if (tokens) await exchange(target, ask);
    expect(comparable(redacted(await exchange(target, ask)))).toEqual(comparable(answer));
  });
});

/** Type and name of each metric. */
function metricsIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, named]) => named!);
}
