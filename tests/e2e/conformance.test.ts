/** The conformance run through agent and edge, at the emulator: its rows hold, and a wrong engine turns them red. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Emulator, startEmulator } from '../../gpu-pool/emulator/server.ts';
import { shippedProfile } from '../../gpu-pool/protocol/shipped-profiles.ts';
import { through } from '../engine/conformance/edge-assumption.ts';
import { type EdgeSubject, startEdgeSubject } from '../engine/conformance/edge-subject.ts';
import { THROUGH_EDGE } from '../engine/conformance/rows.ts';
import { checkAll } from '../engine/conformance/run.ts';
import { readSubject, type Subject } from '../engine/conformance/subject.ts';

const R1 = shippedProfile('deepseek-r1-0528')!;
const KEYS = { apiKey: 'key', adminApiKey: 'admin-key' };
/** A busy machine has a minute to see that an engine has stopped, while an answer would go on for longer. */
const PATIENCE_MS = 60_000;
/** One of each kind: the others differ in the number of choices alone. */
const LEFT_OUT = /-(?:2|4|5|6|7)$/;

let emulator: Emulator;
let subject: Subject;
let edge: EdgeSubject;
beforeAll(async () => {
  emulator = await startEmulator({
    profile: '8xh200',
    speed: 1,
    cacheReport: true,
    reasoningParser: R1.parsers.reasoning!,
    toolCallParser: R1.parsers.tools!,
    chatTemplate: R1.chatTemplate!,
    maxQueuedRequests: 8,
    priorities: { enabled: true },
    ...KEYS,
  });
  const keys = { engineKey: KEYS.apiKey, engineAdminKey: KEYS.adminApiKey };
  subject = await readSubject({ engineUrl: emulator.url, ...keys, stopWithinMs: PATIENCE_MS });
  edge = await startEdgeSubject(subject, { script: inject('script'), database: inject('database') });
});
afterAll(async () => {
  await edge?.stop();
  await emulator?.close();
});

const check = (rows: typeof THROUGH_EDGE) =>
  checkAll(
    rows.map((row) => through(edge, row)),
    subject,
  );

it('finds no difference at the emulator', async () => {
  const results = await check(THROUGH_EDGE.filter(({ id }) => !LEFT_OUT.test(id)));
  expect(results.filter(({ verdict }) => verdict.kind !== 'ok')).toEqual([]);
});

it.each([
  ['billing/whole', 'usage_missing'],
  ['billing/cut-in-thought', 'usage_negative'],
  ['billing/left-stream-3', 'usage_huge'],
  ['product/choices', 'status_503'],
] as const)('differs in %s when the engine has the fault %s', async (id, kind) => {
  emulator.faults.add({ kind });
  try {
    const results = await check(THROUGH_EDGE.filter((row) => row.id === id));
    expect(results).toMatchObject([{ id, verdict: { kind: 'differs' } }]);
  } finally {
    emulator.faults.clear();
  }
});
