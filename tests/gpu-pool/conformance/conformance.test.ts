/** The conformance run's checks, at the emulator: it must be what the agent and the edge take a real engine for. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../../gpu-pool/emulator/faults.ts';
import { type Emulator, startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import type { Assumption } from '../../engine/conformance/assumption.ts';
import { DIRECT } from '../../engine/conformance/rows.ts';
import { checkAll, type Result } from '../../engine/conformance/run.ts';
import { readSubject } from '../../engine/conformance/subject.ts';

const running: Emulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

const R1 = shippedProfile('deepseek-r1-0528')!;
const KEYS = { apiKey: 'key', adminApiKey: 'admin-key' };

/** An emulator that is started as the agent demands, with few places. */
async function emulate(over: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const emulator = await startEmulator({
    profile: '8xh200',
    speed: 1,
    cacheReport: true,
    reasoningParser: R1.parsers.reasoning!,
    toolCallParser: R1.parsers.tools!,
    chatTemplate: R1.chatTemplate!,
    maxQueuedRequests: 8,
    priorities: { enabled: true },
    override: { maxRunningRequests: 9 },
    ...KEYS,
    ...over,
  });
  running.push(emulator);
  return emulator;
}

/** A busy machine has a minute to see that an engine has stopped. */
const PATIENCE_MS = 60_000;

async function check(
  { url }: Emulator,
  rows: readonly Assumption[],
  stopWithinMs?: number,
): Promise<Result[]> {
  const keys = { engineKey: KEYS.apiKey, engineAdminKey: KEYS.adminApiKey };
  return checkAll(rows, await readSubject({ engineUrl: url, ...keys, stopWithinMs }));
}

const rowOf = (id: string) => DIRECT.filter((row) => row.id === id);

const told = (results: readonly Result[]) =>
  results.map(({ id, verdict }) => ({
    id,
    ...(verdict.kind === 'ok' ? { kind: 'ok' } : verdict),
  }));

describe('the conformance run', () => {
  it('finds no difference at the emulator, beside what only a real engine has', async () => {
    const results = await check(
      await emulate(),
      DIRECT.filter(({ onlyReal }) => onlyReal === undefined),
      PATIENCE_MS,
    );
    expect(told(results).filter(({ kind }) => kind === 'differs')).toEqual([]);
    expect(told(results).filter(({ kind }) => kind === 'not_applicable')).toEqual([
      {
        id: 'description/revision',
        kind: 'not_applicable',
        reason: 'the engine was started without --revision',
      },
    ]);
  });

  it('has an id, a sentence and a file for each assumption', () => {
    expect(new Set(DIRECT.map(({ id }) => id)).size).toBe(DIRECT.length);
    for (const { id, says, madeBy } of DIRECT) {
      expect(id).toMatch(/^[a-z]+\/[a-z0-9-]+$/);
      expect(says.length).toBeGreaterThan(20);
      expect(madeBy.length).toBeGreaterThan(0);
    }
  });
});

const WRONG_START: [id: string, over: Partial<EmulatorOptions>][] = [
  ['description/version', { version: '0.5.19' }],
  ['description/fit', { cacheReport: false }],
  ['description/fit', { disableRadixCache: true }],
  ['description/fit', { toolCallParser: 'qwen' }],
  ['description/fit', { chatTemplate: undefined }],
  ['streams/cached', { cacheReport: false }],
  ['salt/isolates', { disableRadixCache: true }],
  ['queue/preempts', { priorities: { enabled: true, preemptionThreshold: 100 } }],
  ['queue/preempts', { priorities: { enabled: true, lowFirst: true } }],
];

describe('an engine that is started otherwise', () => {
  it.each(WRONG_START)('differs in %s: %o', async (id, over) => {
    expect(await check(await emulate(over), rowOf(id))).toMatchObject([{ id, verdict: { kind: 'differs' } }]);
  });
});

const WRONG_ANSWERS: [id: string, fault: Fault['kind']][] = [
  ['load/health', 'unhealthy'],
  ['streams/order', 'no_done'],
  ['streams/continuous-usage', 'usage_missing'],
  ['streams/usage-grows', 'usage_shrinking'],
  ['streams/max-tokens', 'usage_negative'],
  ['streams/whole-usage', 'usage_huge'],
  ['abort/by-id-8', 'ignore_abort'],
  ['abort/left-stream-3', 'ignore_abort'],
  ['reasoning/separate', 'answer_in_reasoning'],
  ['raw/reasoning', 'answer_in_reasoning'],
  ['raw/thought-counted', 'usage_missing'],
  ['raw/tokens', 'usage_huge'],
  ['tools/bad-schema', 'status_429'],
  ['json/schema', 'answer_in_reasoning'],
  ['errors/context-reserve', 'status_503'],
  ['tokens/count-chat', 'usage_huge'],
];

describe('an engine that answers otherwise', () => {
  it.each(WRONG_ANSWERS)('differs in %s when it has the fault %s', async (id, kind) => {
    const emulator = await emulate({ speed: 20 });
    emulator.faults.add({ kind });
    expect(await check(emulator, rowOf(id))).toMatchObject([{ id, verdict: { kind: 'differs' } }]);
  });
});
