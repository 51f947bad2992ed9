/**
 * The beginning of a turn: what the request refers to is read from the store and put into its `input`, so that the rest of
 * the pipeline sees a request that says everything itself. `previous_response_id` brings the input and output items of the
 * whole chain, without its instructions, as OpenAI does; an `item_reference` brings that item.
 */
import { idSuffix } from '../../../gpu-pool/answers/formatter.ts';
import { REFERRED_BYTES_MAX, REFERRED_MAX } from '../../domain/stored-response.ts';
import type { Env } from '../../env.ts';
import type { ApiError } from '../../http/api-error.ts';
import type { Principal } from '../../http/authenticate.ts';
import { identified, inputItems, referenceOf } from './input.ts';
import { canStore } from './keep.ts';
import { type Item, itemsOf, type ReadTurns, readTurns, type WantedTurn } from './read.ts';
import { recordedTurn } from './record.ts';
import { type Scope, scopeOf } from './seal.ts';
import { isStoredResponseId, newStoredSecret, responseOfItem } from './stored-id.ts';
import type { OpenedTurn } from './turn.ts';

export interface TurnRequest {
  readonly body: Record<string, unknown>;
  readonly principal: Principal;
  readonly requestId: string;
  readonly nowMs: number;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

export async function openTurn(env: Env, request: TurnRequest): Promise<OpenedTurn> {
  const { body, principal, requestId, nowMs, waitUntil } = request;
  const scope = scopeOf(principal);
  const referred = await withReferred(env, scope, body, nowMs);
  if (!referred.ok) return referred;
  const { items, chainLength, previousResponseId } = referred;
  // Anything that is neither true, absent nor null is the dialect's to refuse.
  const wantsStore = body.store !== false && items !== null;
  const secret = wantsStore && canStore(nowMs) ? newStoredSecret() : null;
  const suffix = idSuffix(requestId, secret);
  const own = items?.slice(chainLength).map((item, i) => identified(item, suffix, i)) ?? [];
  const turn = recordedTurn(env, {
    ...{ scope, previousResponseId, secret, waitUntil, chainLength },
    input: own,
    ignored: body.store === true && secret === null ? ['store'] : [],
  });
  const { previous_response_id: _, store, ...rest } = body;
  const refers = chainLength > 0 || items !== referred.given;
  // Whether a `true` is kept is said above; any other value is for the dialect to check.
  const unread = store === true ? rest : { ...rest, ...(store !== undefined && { store }) };
  return { ok: true, turn, body: refers ? { ...unread, input: items } : unread };
}

type Referred =
  | {
      ok: true;
      /** The chain's items, then the request's own; null: the request's are none, which the dialect refuses. */
      items: readonly Item[] | null;
      /** The request's own items as they were sent; the same array as `items` where nothing was added. */
      given: readonly Item[] | null;
      chainLength: number;
      previousResponseId: string | null;
    }
  | { ok: false; error: ApiError };

/** The request's items with all that they refer to. */
async function withReferred(
  env: Env,
  scope: Scope,
  { previous_response_id: previous, input }: Record<string, unknown>,
  nowMs: number,
): Promise<Referred> {
  const given = inputItems(input);
  const none = { ok: true, items: given, given, chainLength: 0, previousResponseId: null } as const;
  const references = given?.map(referenceOf).filter((id) => id !== null) ?? [];
  const continues = previous !== undefined && previous !== null;
  if (!continues && references.length === 0) return none;
  if (continues && (typeof previous !== 'string' || !previous.startsWith('resp_')))
    return { ok: false, error: wrongPrevious(previous) };
  const wanted = wantedBy(continues ? (previous as string) : null, references);
  if (!wanted.ok) return wanted;
  const read = await readTurns(env, scope, wanted.turns, nowMs);
  const chain = continues ? read[0]! : null;
  const error = chainError(chain) ?? (read.some(({ end }) => end === 'too_large') ? tooLarge('input') : null);
  if (error !== null) return { ok: false, error };
  const before = chain === null ? [] : itemsOf(chain.turns);
  const own = dereferenced(given ?? [], read);
  if (!own.ok) return own;
  const items = [...before, ...own.items];
  if (JSON.stringify(items).length > REFERRED_BYTES_MAX)
    return { ok: false, error: tooLarge(continues ? 'previous_response_id' : 'input') };
  const previousResponseId = continues ? (previous as string) : null;
  return {
    ok: true,
    items: given === null ? null : items,
    given,
    chainLength: before.length,
    previousResponseId,
  };
}

/** The responses to read: the chain first, if there is one, then each response that an item belongs to. */
function wantedBy(
  previous: string | null,
  references: readonly string[],
): { ok: true; turns: WantedTurn[] } | { ok: false; error: ApiError } {
  if (previous !== null && !isStoredResponseId(previous))
    return { ok: false, error: { reason: 'previous_response_not_found', id: previous } };
  const sections = new Map<string, Set<'input' | 'output'>>();
  for (const id of references) {
    const found = responseOfItem(id);
    if (found === null) return { ok: false, error: { reason: 'item_not_found', id } };
    const known = sections.get(found.responseId) ?? new Set();
    sections.set(found.responseId, known.add(found.section));
  }
  if (sections.size > REFERRED_MAX) return { ok: false, error: tooLarge('input') };
  const turns = [...sections].map(([responseId, names]) => ({
    ...{ responseId, sections: [...names], chain: false },
  }));
  if (previous === null) return { ok: true, turns };
  const chain = { responseId: previous, sections: ['input', 'output'] as const, chain: true };
  return { ok: true, turns: [chain, ...turns] };
}

function dereferenced(
  given: readonly Item[],
  read: readonly ReadTurns[],
): { ok: true; items: Item[] } | { ok: false; error: ApiError } {
  const stored = new Map<string, Item>();
  for (const { turns } of read)
    for (const { input, output } of turns)
      for (const item of [...input, ...output]) stored.set(String(item.id), item);
  const items: Item[] = [];
  for (const item of given) {
    const id = referenceOf(item);
    const found = id === null ? item : stored.get(id);
    if (found === undefined) return { ok: false, error: { reason: 'item_not_found', id: id! } };
    items.push(found);
  }
  return { ok: true, items };
}

function chainError(chain: ReadTurns | null): ApiError | null {
  if (chain === null || chain.end === 'beginning') return null;
  if (chain.end === 'too_large') return tooLarge('previous_response_id');
  return { reason: 'previous_response_not_found', id: chain.missingId };
}

/** OpenAI's words for an id of another form. */
function wrongPrevious(value: unknown): ApiError {
  const shown = typeof value === 'string' && /^[\w-]{1,64}$/.test(value) ? `: '${value}'` : '';
  const message = `Invalid 'previous_response_id'${shown}. Expected an ID that begins with 'resp_'.`;
  return { reason: 'invalid_field', param: 'previous_response_id', message };
}

function tooLarge(param: string): ApiError {
  const message = `\`${param}\`: the stored conversation that the request refers to is larger than ${REFERRED_BYTES_MAX} bytes or ${REFERRED_MAX} responses. Begin a new one, with a summary of this one in \`input\`.`;
  return { reason: 'invalid_field', param, message };
}
