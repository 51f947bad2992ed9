/** What came of a batch's lines goes to R2: a part as soon as it is full, the rest at the end, and then the files are there. */

import { database } from '../db/client.ts';
import { addFile } from '../db/files.ts';
import { PART_BYTES } from '../domain/file-parts.ts';
import type { Env } from '../env.ts';
import { partName } from './file-parts.ts';
import type { BatchStore, Job, Written } from './store.ts';

/** As long as OpenAI keeps what a batch made. */
const OUTPUT_MS = 30 * 86_400_000;

const OUTCOMES = { output: { failed: false }, error: { failed: true } } as const;
type Outcome = keyof typeof OUTCOMES;

export async function writeFullParts(env: Env, store: BatchStore): Promise<void> {
  for (const outcome of ['output', 'error'] as const) {
    while (store.unwrittenBytes(OUTCOMES[outcome].failed) >= PART_BYTES) await writePart(env, store, outcome);
  }
}

/** Writes what is left, and tells D1 of the files. */
export async function writeRest(env: Env, store: BatchStore, nowMs: number): Promise<void> {
  for (const outcome of ['output', 'error'] as const) {
    while (store.unwrittenBytes(OUTCOMES[outcome].failed) > 0) await writePart(env, store, outcome);
  }
  const { order, written } = store.job()!;
  const file = async (id: string, name: Outcome) => {
    const { bytes, parts } = written[name];
    if (parts === 0) return;
    await addFile(database(env), {
      id,
      accountId: order.accountId,
      name: `${order.batchId}_${name}.jsonl`,
      purpose: 'batch_output',
      bytes,
      parts,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + OUTPUT_MS,
    });
  };
  await file(order.outputFileId, 'output');
  await file(order.errorFileId, 'error');
}

async function writePart(env: Env, store: BatchStore, outcome: Outcome): Promise<void> {
  const job: Job = store.job()!;
  const before = job.written[outcome];
  const { failed } = OUTCOMES[outcome];
  const results = store.resultsFor(before.parts, failed, PART_BYTES);
  const bytes = new TextEncoder().encode(results.map((result) => `${result}\n`).join(''));
  const fileId = failed ? job.order.errorFileId : job.order.outputFileId;
  await env.FILES.put(partName(fileId, before.parts), bytes);
  store.forgetResults(before.parts, failed);
  const after: Written = { parts: before.parts + 1, bytes: before.bytes + bytes.byteLength };
  store.change({ written: { ...store.job()!.written, [outcome]: after } });
}
