/** The engine under examination, and what its checks share. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEngine } from '../../../gpu-pool/agent/engine-check.ts';
import { type EngineFacts, readEngine } from '../../../gpu-pool/agent/sglang/probe.ts';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { SHIPPED_MODELS, shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import { DirectEngine, type Running } from './direct-engine.ts';

export interface SubjectOptions {
  readonly engineUrl: string;
  readonly engineKey?: string | undefined;
  readonly engineAdminKey?: string | undefined;
  /** How soon the engine must have stopped after an abort; default: a second. */
  readonly stopWithinMs?: number;
  /** The engine's own package, `…/site-packages/sglang`, to look for readers of flags. */
  readonly source?: string | undefined;
}

export interface Subject {
  readonly engine: DirectEngine;
  readonly facts: EngineFacts;
  /** Everything that /server_info says, keys included: it is never printed. */
  readonly info: Readonly<Record<string, unknown>>;
  readonly stopWithinMs: number;
  readonly source: string | undefined;
  /** The model whose weights the engine serves, as it is shipped; undefined: none has them. */
  readonly shipped: { readonly id: string; readonly profile: ModelProfile } | undefined;
  /** Whether the engine separates reasoning. */
  readonly reasons: boolean;
  /** Tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** Sequences that can run, and that can wait. */
  readonly places: { readonly running: number; readonly queued: number | null };
}

/** @throws Error when no engine answers */
export async function readSubject(options: SubjectOptions): Promise<Subject> {
  const target = parseEngine(options);
  const facts = await readEngine(target);
  if ('failure' in facts) throw new Error(`No engine answers at ${target.url.origin}: ${facts.failure}.`);
  if ('status' in facts)
    throw new Error(
      `${facts.path} at ${target.url.origin} returned ${facts.status}: pass --api-key, or correct --engine.`,
    );
  const engine = new DirectEngine(target, { model: facts.info.model_path, longTokens: 0 });
  const [info, models, loads] = await Promise.all(
    ['/server_info', '/v1/models', '/v1/loads?include=core'].map(
      async (path) => (await engine.call(path)).body,
    ),
  );
  const { data } = models as { data?: { max_model_len?: number }[] };
  const { loads: ranks } = loads as { loads: { max_running_requests: number }[] };
  const { max_total_num_tokens: pool = 0 } = info as { max_total_num_tokens?: number };
  return {
    engine: new DirectEngine(target, { model: facts.info.model_path, longTokens: longTokensOf(pool) }),
    facts,
    info: info as Record<string, unknown>,
    stopWithinMs: options.stopWithinMs ?? 1_000,
    source: options.source,
    shipped: shippedWith(facts.info.model_path),
    reasons: facts.settings.reasoning_parser !== null,
    contextTokens: data?.[0]?.max_model_len ?? 0,
    places: {
      running: ranks.reduce((sum, rank) => sum + rank.max_running_requests, 0),
      queued: facts.settings.max_queued_requests,
    },
  };
}

function shippedWith(modelPath: string): Subject['shipped'] {
  return SHIPPED_MODELS.flatMap((id) => {
    const profile = shippedProfile(id);
    return profile?.repository === modelPath ? [{ id, profile }] : [];
  })[0];
}

/** Output of an answer that goes on for long: eight of them fit the cache at once. */
function longTokensOf(pool: number): number {
  return Math.min(20_000, Math.floor((0.8 * pool) / 8));
}

/** Waits until each choice has sent some text. @throws Error when that does not come */
export async function begun({ chunks, streamed }: Running, choices = 1): Promise<void> {
  let ended = false;
  void streamed.finally(() => {
    ended = true;
  });
  for (const endMs = performance.now() + 60_000; performance.now() < endMs && !ended; await sleep(10)) {
    const sent = new Set(
      chunks.flatMap(({ choices: all }) =>
        (all ?? [])
          .filter(({ delta }) => delta?.content || delta?.reasoning_content)
          .map(({ index }) => index),
      ),
    );
    if (sent.size >= choices) return;
  }
  throw new Error('no first token');
}

/** Waits until `condition` holds; false when it has not within `withinMs`. */
export async function eventually(
  condition: () => Promise<boolean> | boolean,
  withinMs: number,
): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; ; await sleep(20)) {
    if (await condition()) return true;
    if (performance.now() > endMs) return false;
  }
}
