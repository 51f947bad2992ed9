/** The turn of a request, which stores its final response object. */
import type { Env } from '../../env.ts';
import type { ApiError } from '../../http/api-error.ts';
import { keepTurn } from './keep.ts';
import type { Item } from './read.ts';
import type { Scope } from './seal.ts';
import type { Turn } from './turn.ts';

export interface TurnFacts {
  readonly scope: Scope;
  readonly previousResponseId: string | null;
  /** null: it is not stored */
  readonly secret: string | null;
  /** The request's own items, each with an id. */
  readonly input: readonly Item[];
  /** How many items of the chain stand before them in the body. */
  readonly chainLength: number;
  readonly ignored: readonly string[];
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

export function recordedTurn(env: Env, facts: TurnFacts): Turn {
  const { scope, previousResponseId, secret, input, chainLength, ignored, waitUntil } = facts;
  const keep = (response: object) =>
    waitUntil(keepTurn(env, { scope, previousResponseId, input, response: response as Item }));
  return {
    head: { previousResponseId, secret },
    ignored,
    keep: secret === null ? null : keep,
    ownError: (error) => relocated(error, chainLength),
  };
}

const ITEM_PATH = /^input\[(\d+)\]/;

/** The error of an item of the request, whose index in the body has the chain's items before it. */
function relocated(error: ApiError, chainLength: number): ApiError {
  if (error.reason !== 'invalid_field' || error.param === null || chainLength === 0) return error;
  const index = Number(ITEM_PATH.exec(error.param)?.[1] ?? -1) - chainLength;
  if (index < 0) return error;
  const { param } = error;
  const own = param.replace(ITEM_PATH, `input[${index}]`);
  return { ...error, param: own, message: error.message.replace(param, own) };
}
