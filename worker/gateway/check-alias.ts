/** Whether an account can have an alias: one rule for the API and the portal. */
import { findModel, type Model } from '../db/catalogue.ts';
import { ALIAS_NAME, isTaken, takesEffort } from '../domain/model-alias.ts';
import { onSale } from '../domain/model-end.ts';

/** An alias as it is asked for. */
export interface WantedAlias {
  /** In any case. */
  readonly name: string;
  /** Id of a model, or one of the catalogue's names for it. */
  readonly model: string;
  /** null: what each request asks for. */
  readonly effort: string | null;
}

export type AliasFault = 'name' | 'taken' | 'model' | 'effort';

/** @returns the alias's name in lower case with its model; or the first fault, with the model if it is one that is sold */
export function checkAlias(
  models: readonly Model[],
  wanted: WantedAlias,
  nowMs: number,
): { ok: true; name: string; model: Model } | { ok: false; fault: AliasFault; model: Model | null } {
  const name = wanted.name.toLowerCase();
  const model = findModel(onSale(models, nowMs), wanted.model);
  const refuse = (fault: AliasFault) => ({ ok: false, fault, model }) as const;
  if (!ALIAS_NAME.test(name)) return refuse('name');
  if (isTaken(models, name)) return refuse('taken');
  if (!model) return refuse('model');
  if (wanted.effort !== null && !takesEffort(model, wanted.effort)) return refuse('effort');
  return { ok: true, name, model };
}
