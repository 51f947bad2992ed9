/**
 * Reads a batch's input into rows, a part at a time. A line that can be run waits; any other ends at once with its
 * fault.
 */

import { findModel } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { listAliases } from '../db/model-aliases.ts';
import { LINES_MAX, parseLine } from '../domain/batch-line.ts';
import { linesOf } from '../domain/file-parts.ts';
import { findAlias } from '../domain/model-alias.ts';
import type { Env } from '../env.ts';
import { catalogue } from '../gateway/model-cache.ts';
import { dialectOf } from './endpoints.ts';
import { readPart } from './file-parts.ts';
import { faultLine } from './result-line.ts';
import type { BatchJob, BatchStore, LineLocation } from './store.ts';

/** The model id of lines whose model is unknown. They need no node: running them only produces their error. */
export const NO_MODEL = '';

/** @param transaction runs its argument as one transaction, so that a part is recorded whole or not at all */
export async function readNextPart(
  env: Env,
  {
    store,
    job,
    nowMs,
    transaction,
  }: { store: BatchStore; job: BatchJob; nowMs: number; transaction: Transaction },
): Promise<void> {
  const { order, partsRead } = job;
  const bytes = await readPart(env.FILES, order.input.fileId, partsRead);
  const models = await catalogue(env, nowMs);
  const aliases = await listAliases(database(env), order.accountId);
  const dialect = await dialectOf(order.endpoint);
  const modelIds = new Set(job.modelIds);
  let n = job.lines;

  const modelOf = (body: Record<string, unknown>): string => {
    const understood = dialect.read(body, new Headers());
    if (!understood.ok) return NO_MODEL;
    const { model: name } = understood.dialectRequest.request;
    return findModel(models, findAlias(aliases, name)?.modelId ?? name)?.id ?? NO_MODEL;
  };
  const add = (location: LineLocation): void => {
    const read = parseLine(bytes.subarray(location.start, location.end), location.n, order.endpoint);
    if (!read.ok) {
      store.addFaulty(location, faultLine(order.batchId, read.customId, read.fault));
      return;
    }
    const { customId, body } = read.line;
    const modelId = modelOf(body);
    modelIds.add(modelId);
    if (store.addWaiting({ ...location, customId, modelId })) return;
    const message = '`custom_id` is used by another line. Give each line its own.';
    const fault = { code: 'duplicate_custom_id', message, param: 'custom_id', line: location.n };
    store.addFaulty(location, faultLine(order.batchId, customId, fault));
  };

  transaction(() => {
    for (const range of linesOf(bytes)) {
      n += 1;
      if (n > LINES_MAX) break;
      add({ n, part: partsRead, ...range });
    }
    store.change({ partsRead: partsRead + 1, lines: n, modelIds: [...modelIds] });
  });
}

type Transaction = (work: () => void) => void;
