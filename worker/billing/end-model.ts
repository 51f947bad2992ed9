/** An operator's announcement of a model's end, and its withdrawal. The accounts that use the model are told of both. */
import { loadCatalogue } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { setModelEnd, withdrawModelEnd } from '../db/model-end.ts';
import { announceFault, hasEnded, isEnding, type ModelEndFault } from '../domain/model-end.ts';
import type { Env } from '../env.ts';

export type EndModelFault =
  | ModelEndFault
  | 'model_not_found'
  /** The model's id was not typed. */
  | 'end_unconfirmed'
  /** Another operator changed it at the same time. */
  | 'end_changed'
  | 'no_end_announced';

interface EndCommand {
  readonly modelId: string;
  readonly actor: string;
  readonly nowMs: number;
}

/** @returns why it was refused; null: it is announced */
export async function announceEnd(
  env: Env,
  command: EndCommand & {
    endsAtMs: number;
    successorId: string | null;
    /** The model's id, typed by the operator: an announced end can be withdrawn, but not moved forward. */
    confirm: string;
  },
): Promise<EndModelFault | null> {
  const { modelId, endsAtMs, successorId, confirm, actor, nowMs } = command;
  const db = database(env);
  const models = await loadCatalogue(db);
  const model = models.find(({ id }) => id === modelId);
  if (model === undefined) return 'model_not_found';
  const fault = announceFault(model, { endsAtMs, successorId }, { models, nowMs });
  if (fault !== null) return fault;
  if (confirm !== modelId) return 'end_unconfirmed';
  const detail = { to: new Date(endsAtMs).toISOString(), successor: successorId };
  const entry = { atMs: nowMs, actor, action: 'model.end_announced', subject: modelId, detail };
  const isSet = await setModelEnd(db, { modelId, endsAtMs, successorId, nowMs }, entry);
  return isSet ? null : 'end_changed';
}

/** @returns why it was refused; null: the model stays on sale */
export async function withdrawEnd(
  env: Env,
  { modelId, actor, nowMs }: EndCommand,
): Promise<EndModelFault | null> {
  const db = database(env);
  const model = (await loadCatalogue(db)).find(({ id }) => id === modelId);
  if (model === undefined) return 'model_not_found';
  if (!isEnding(model)) return 'no_end_announced';
  if (hasEnded(model, nowMs)) return 'model_ended';
  const detail = { was: new Date(model.endsAtMs).toISOString() };
  const entry = { atMs: nowMs, actor, action: 'model.end_withdrawn', subject: modelId, detail };
  return (await withdrawModelEnd(db, { ...model, nowMs }, entry)) ? null : 'end_changed';
}
