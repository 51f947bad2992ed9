/** A batch's input becomes rows, a part at a time: a line that can be run waits, any other has ended with its fault. */

import { findModel } from '../db/catalogue.ts';
import { LINES_MAX, parseLine } from '../domain/batch-line.ts';
import { linesOf } from '../domain/file-parts.ts';
import type { Env } from '../env.ts';
import { catalogue } from '../gateway/model-cache.ts';
import { dialectOf } from './endpoints.ts';
import { readPart } from './file-parts.ts';
import { faultLine } from './result-line.ts';
import type { BatchStore, Job, LinePlace } from './store.ts';

/** What a line is filed under whose model is not known: it waits for no node, only to be told so. */
export const NO_MODEL = '';

/** @param inOneStep runs its argument as one transaction: a part is known whole or not at all */
export async function readNextPart(
  env: Env,
  { store, job, nowMs, inOneStep }: { store: BatchStore; job: Job; nowMs: number; inOneStep: Transaction },
): Promise<void> {
  const { order, partsRead } = job;
  const bytes = await readPart(env.FILES, order.input.fileId, partsRead);
  const models = await catalogue(env, nowMs);
  const dialect = await dialectOf(order.endpoint);
  const modelIds = new Set(job.modelIds);
  let n = job.lines;

  const modelOf = (body: Record<string, unknown>): string => {
    const understood = dialect.read(body, new Headers());
    if (!understood.ok) return NO_MODEL;
    return findModel(models, understood.dialectRequest.request.model)?.id ?? NO_MODEL;
  };
  const add = (place: LinePlace): void => {
    const read = parseLine(bytes.subarray(place.start, place.end), place.n, order.endpoint);
    if (!read.ok) {
      store.addFaulty(place, faultLine(order.batchId, read.customId, read.fault));
      return;
    }
    const { customId, body } = read.line;
    const modelId = modelOf(body);
    modelIds.add(modelId);
    if (store.addWaiting({ ...place, customId, modelId })) return;
    const message = '`custom_id` is used by another line. Give each line its own.';
    const fault = { code: 'duplicate_custom_id', message, param: 'custom_id', line: place.n };
    store.addFaulty(place, faultLine(order.batchId, customId, fault));
  };

  inOneStep(() => {
    for (const place of linesOf(bytes)) {
      n += 1;
      if (n > LINES_MAX) break;
      add({ n, part: partsRead, ...place });
    }
    store.change({ partsRead: partsRead + 1, lines: n, modelIds: [...modelIds] });
  });
}

export type Transaction = (closure: () => void) => void;
