/** Reads stored responses: a response with the turns before it, and single items. */
import type { LoadedResponse, Section, WantedResponse } from '../../domain/stored-response.ts';
import type { Env } from '../../env.ts';
import { keyOf, lookupOf, type Scope, unseal } from './seal.ts';
import { storedIdTime } from './stored-id.ts';

export type Item = Record<string, unknown>;

/** The sections that were asked for; the others are empty. */
export interface StoredTurn {
  readonly responseId: string;
  readonly previousResponseId: string | null;
  readonly input: readonly Item[];
  readonly output: readonly Item[];
  /** The response object without its output. */
  readonly response: Item | null;
}

export interface WantedTurn {
  readonly responseId: string;
  readonly sections: readonly Section[];
  readonly chain: boolean;
}

export interface ReadTurns {
  /** The response, then those that it continues, newest first. */
  readonly turns: readonly StoredTurn[];
  readonly end: LoadedResponse['end'];
  /** With `missing`: the response that is not stored. */
  readonly missingId: string;
}

/**
 * A response is stored just after its client has its last byte. A next turn may come sooner, so what is not found is looked
 * for again, for a second in all.
 */
const WAITS_MS = [50, 150, 300, 500];
/** No answer runs for longer than this, so an older response that is missing will not come any more. */
const COMES_WITHIN_MS = 2 * 3_600_000;

export async function readTurns(
  env: Env,
  scope: Scope,
  wanted: readonly WantedTurn[],
  nowMs: number,
): Promise<ReadTurns[]> {
  const store = env.RESPONSES.getByName(scope.accountId);
  const lookups = await Promise.all(
    wanted.map(async ({ responseId, sections, chain }): Promise<WantedResponse> => {
      // The input section names the response that is continued.
      const read = chain && !sections.includes('input') ? [...sections, 'input' as const] : sections;
      return { lookup: await lookupOf(scope, responseId), sections: read, chain };
    }),
  );
  const isThere = (each: LoadedResponse, i: number) =>
    each.links.length > 0 || each.end !== 'missing' || !mayCome(wanted[i]!.responseId, nowMs);
  const load = () => store.load(lookups);
  const loaded = await repeated(load, (results) => results.every(isThere));
  return Promise.all(loaded.map((each, i) => opened(scope, wanted[i]!.responseId, each)));
}

/** Removes a response. @returns false when it is not stored */
export async function removeTurn(
  env: Env,
  scope: Scope,
  responseId: string,
  nowMs: number,
): Promise<boolean> {
  const store = env.RESPONSES.getByName(scope.accountId);
  const lookup = await lookupOf(scope, responseId);
  const remove = () => store.remove(lookup);
  const isFinal = (result: string) => result !== 'missing' || !mayCome(responseId, nowMs);
  return (await repeated(remove, isFinal)) === 'removed';
}

async function repeated<T>(call: () => Promise<T>, isFinal: (result: T) => boolean): Promise<T> {
  let result = await call();
  for (const waitMs of WAITS_MS) {
    if (isFinal(result)) break;
    await scheduler.wait(waitMs);
    result = await call();
  }
  return result;
}

function mayCome(responseId: string, nowMs: number): boolean {
  return Math.abs(nowMs - storedIdTime(responseId)) < COMES_WITHIN_MS;
}

async function opened(scope: Scope, responseId: string, { links, end }: LoadedResponse): Promise<ReadTurns> {
  const turns: StoredTurn[] = [];
  let nextId: string | null = responseId;
  for (const sections of links) {
    const key = await keyOf(scope, nextId!);
    const read = async (name: Section) =>
      sections[name] === undefined ? null : JSON.parse(await unseal(key, sections[name]));
    const input = (await read('input')) as { previous: string | null; items: Item[] } | null;
    turns.push({
      responseId: nextId!,
      previousResponseId: input?.previous ?? null,
      input: input?.items ?? [],
      output: ((await read('output')) as Item[] | null) ?? [],
      response: (await read('response')) as Item | null,
    });
    nextId = input?.previous ?? null;
  }
  return { turns, end, missingId: nextId ?? responseId };
}

/** The items of a chain in their order. */
export function itemsOf(turns: readonly StoredTurn[]): Item[] {
  return turns.toReversed().flatMap(({ input, output }) => [...input, ...output]);
}
