/**
 * Writes the results of a batch's lines to R2: each part as soon as it is full, the rest at the end, then the files'
 * rows to D1.
 */

import { database } from '../db/client.ts';
import { addFile } from '../db/files.ts';
import { PART_BYTES } from '../domain/file-parts.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Env } from '../env.ts';
import { partName } from './file-parts.ts';
import type { BatchJob, BatchStore, WrittenParts } from './store.ts';

/** How long result files are kept: as long as OpenAI keeps a batch's output. */
const OUTPUT_LIFETIME_MS = retentionMs('file');

/** The two result files of a batch, and the lines whose results they hold. */
const RESULT_FILES = { output: { failed: false }, error: { failed: true } } as const;
type ResultFile = keyof typeof RESULT_FILES;

export async function writeFullParts(env: Env, store: BatchStore): Promise<void> {
  for (const file of ['output', 'error'] as const) {
    while (store.unwrittenBytes(RESULT_FILES[file].failed) >= PART_BYTES) await writePart(env, store, file);
  }
}

/** Writes the results that are left, and adds the files' rows to D1. */
export async function writeRest(env: Env, store: BatchStore, nowMs: number): Promise<void> {
  for (const file of ['output', 'error'] as const) {
    while (store.unwrittenBytes(RESULT_FILES[file].failed) > 0) await writePart(env, store, file);
  }
  const { order, written } = store.job()!;
  const addRow = async (id: string, name: ResultFile) => {
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
      expiresAtMs: nowMs + OUTPUT_LIFETIME_MS,
    });
  };
  await addRow(order.outputFileId, 'output');
  await addRow(order.errorFileId, 'error');
}

async function writePart(env: Env, store: BatchStore, file: ResultFile): Promise<void> {
  const job: BatchJob = store.job()!;
  const before = job.written[file];
  const { failed } = RESULT_FILES[file];
  const results = store.resultsFor(before.parts, failed, PART_BYTES);
  const bytes = new TextEncoder().encode(results.map((result) => `${result}\n`).join(''));
  const fileId = failed ? job.order.errorFileId : job.order.outputFileId;
  await env.FILES.put(partName(fileId, before.parts), bytes);
  store.forgetResults(before.parts, failed);
  const after: WrittenParts = { parts: before.parts + 1, bytes: before.bytes + bytes.byteLength };
  store.change({ written: { ...store.job()!.written, [file]: after } });
}
