import { describe, expect, it } from 'vitest';
import { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import {
  answersFault,
  asOf,
  CANARY_REQUEST,
  type CanaryAnswer,
  type CanaryTry,
  newCanaryIds,
  nextTryAtMs,
  OPEN_MS_MAX,
  overdueFault,
  parseCanaryId,
  receiptAgrees,
  TRIES_THAT_COUNT,
} from '../../worker/domain/canary.ts';
import { isId, newId } from '../../worker/domain/ids.ts';
import { NODE_STATES, NODE_VERBS, type NodeState, nextState } from '../../worker/domain/node.ts';
import type { Usage } from '../../worker/domain/usage.ts';

const USAGE: Usage = { promptTokens: 250, cachedTokens: 192, completionTokens: 64, reasoningTokens: 64 };
const REASONING = { reasoning: true };

function answer(change: Partial<Usage> = {}, reasoned = true): CanaryAnswer {
  return { usage: { ...USAGE, ...change }, reasoned };
}

describe('what a canary asks', () => {
  it('is a request of the protocol, longer than two pages, that no account’s cache salt can be', () => {
    expect(GenerateRequest.strict().parse(CANARY_REQUEST)).toEqual(CANARY_REQUEST);
    const words = CANARY_REQUEST.messages![0]!.content!.split(/\s+/);
    // a token is no longer than a word with its space, or a sign
    expect(words.length).toBeGreaterThan(2 * 64 + 1);
    expect(CANARY_REQUEST.cache_salt).toMatch(/^[0-9a-f]{32}$/);
  });

  it('has ids of its own, a pair a try', () => {
    const { firstId, secondId } = newCanaryIds(Date.now());
    expect(parseCanaryId(firstId)).toEqual({ secondId, isSecond: false });
    expect(parseCanaryId(secondId)).toEqual({ secondId, isSecond: true });
    expect(firstId).toHaveLength(secondId.length);
    expect(isId('req', secondId)).toBe(false);
    for (const id of [newId('req', 1), '', 'canary_2', `${secondId}x`, secondId.replace('_2', '_3')])
      expect(parseCanaryId(id)).toBeNull();
  });
});

describe('two answers', () => {
  it('will do when they count alike and the second found the first in the cache', () => {
    expect(answersFault([answer({ cachedTokens: 0 }), answer()], REASONING)).toBeNull();
    expect(answersFault([answer(), answer()], REASONING)).toBeNull();
    expect(answersFault([answer({}, false), answer({}, false)], { reasoning: false })).toBeNull();
    expect(
      answersFault([answer(), answer({ completionTokens: 1, reasoningTokens: 0 })], REASONING),
    ).toBeNull();
  });

  it.each([
    ['fewer prompt tokens than it can have', { promptTokens: 1, cachedTokens: 1 }, 'prompt_tokens'],
    ['more prompt tokens than bytes', { promptTokens: 5_000 }, 'prompt_tokens'],
    ['more cached than there is', { cachedTokens: 251 }, 'prompt_tokens'],
    ['no answer', { completionTokens: 0, reasoningTokens: 0 }, 'completion_tokens'],
    ['more than was asked for', { completionTokens: 65 }, 'completion_tokens'],
    ['more reasoning than answer', { completionTokens: 10, reasoningTokens: 11 }, 'completion_tokens'],
  ] as const)('will not do with %s, in either', (_, change, fault) => {
    expect(answersFault([answer(change), answer()], REASONING)).toBe(fault);
    expect(answersFault([answer(), answer(change)], REASONING)).toBe(fault);
  });

  it('will not do without reasoning of a model that reasons, in either', () => {
    expect(answersFault([answer({}, false), answer()], REASONING)).toBe('no_reasoning');
    expect(answersFault([answer(), answer({}, false)], REASONING)).toBe('no_reasoning');
  });

  it('will not do when the prompt is counted in two ways, or nothing was cached', () => {
    expect(answersFault([answer({ promptTokens: 249 }), answer()], REASONING)).toBe('prompt_differs');
    expect(answersFault([answer(), answer({ cachedTokens: 0 })], REASONING)).toBe('nothing_cached');
  });
});

describe('a receipt', () => {
  const said = {
    prompt_tokens: 250,
    cached_tokens: 192,
    completion_tokens: 64,
    reasoning_tokens: 64,
  };

  it('agrees when it says the same to the token, of an answer that was finished', () => {
    expect(receiptAgrees(USAGE, { outcome: 'finished', usage: said })).toBe(true);
    for (const outcome of ['aborted', 'failed', 'lost'] as const)
      expect(receiptAgrees(USAGE, { outcome, usage: said })).toBe(false);
    for (const kind of Object.keys(said) as (keyof typeof said)[])
      expect(receiptAgrees(USAGE, { outcome: 'finished', usage: { ...said, [kind]: said[kind] - 1 } })).toBe(
        false,
      );
  });
});

describe('the next try', () => {
  const failed = (atMs: number): CanaryTry => ({
    requestId: `canary at ${atMs}`,
    nodeId: 'node',
    atMs,
    usage: null,
    fault: 'unreachable',
    passedAtMs: null,
  });

  it('comes at once, then after a while that doubles up to ten minutes', () => {
    expect(nextTryAtMs([], 500)).toBe(500);
    const tries: CanaryTry[] = [];
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      tries.unshift(failed(1_000_000 * (i + 1)));
      waits.push((nextTryAtMs(tries, 0)! - tries[0]!.atMs) / 1_000);
    }
    expect(waits).toEqual([15, 30, 60, 120, 240, 480, 600, 600, 600]);
    expect(nextTryAtMs(tries.slice(0, TRIES_THAT_COUNT), 0)).toBe(nextTryAtMs(tries, 0));
  });

  it('comes at once again when the node has got into its state anew', () => {
    expect(nextTryAtMs([failed(2_000), failed(1_000)], 2_001)).toBe(2_001);
    expect(nextTryAtMs([failed(2_000), failed(1_000)], 1_500)).toBe(17_000);
  });

  it('does not come while one is open, and one is not open for ever', () => {
    const open = { ...failed(1_000), fault: null };
    const answered = { ...open, usage: USAGE };
    const lateMs = 1_000 + OPEN_MS_MAX + 1;
    expect(nextTryAtMs([open, failed(500)], 0)).toBeNull();
    expect(nextTryAtMs([answered], 0)).toBeNull();
    expect([overdueFault(open, lateMs - 1), overdueFault(answered, lateMs - 1)]).toEqual([null, null]);
    expect([overdueFault(open, lateMs), overdueFault(answered, lateMs)]).toEqual([
      'interrupted',
      'receipt_missing',
    ]);
    expect(overdueFault({ ...answered, passedAtMs: 2_000 }, lateMs)).toBeNull();
    expect(asOf(open, lateMs).fault).toBe('interrupted');
    expect(asOf(failed(1_000), lateMs).fault).toBe('unreachable');
  });
});

describe('the state of a node', () => {
  it('follows what is done to it', () => {
    const table = Object.fromEntries(
      NODE_STATES.map((state) => [state, NODE_VERBS.map((verb) => nextState(state, verb))]),
    );
    expect(NODE_VERBS).toEqual(['drain', 'quarantine', 'restore', 'remove']);
    expect(table).toEqual({
      canary: ['quarantined', 'quarantined', 'canary', 'removed'],
      active: ['draining', 'quarantined', 'active', 'removed'],
      draining: ['draining', 'quarantined', 'active', 'removed'],
      quarantined: ['quarantined', 'quarantined', 'canary', 'removed'],
      removed: [null, null, null, 'removed'],
    });
  });

  it('never leads past a canary to customers, whatever is done in whatever order', () => {
    const events = [...NODE_VERBS, 'engine_changed'] as const;
    const reached = new Set<NodeState>(['canary', 'quarantined']);
    for (const state of reached) for (const event of events) reached.add(nextState(state, event) ?? state);
    expect([...reached].sort()).toEqual(['canary', 'quarantined', 'removed']);
    // another engine is another node
    expect([...reached]).toContain(nextState('active', 'engine_changed'));
    expect([...reached]).toContain(nextState('draining', 'engine_changed'));
  });
});
