import { describe, expect, it } from 'vitest';
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import {
  ATTEMPTS_CONSIDERED,
  asOf,
  CANARY_REQUEST,
  type CanaryAnswer,
  type CanaryAttempt,
  canaryRequest,
  faultInAnswers,
  newCanaryIds,
  nextAttemptAtMs,
  OPEN_MS_MAX,
  overdueFault,
  parseCanaryId,
  receiptAgrees,
} from '../../worker/domain/canary.ts';
import { canaryTasks } from '../../worker/domain/canary-tasks.ts';
import { isId, newId } from '../../worker/domain/ids.ts';
import { NODE_ACTIONS, NODE_STATES, type NodeState, nextState } from '../../worker/domain/node.ts';
import type { Usage } from '../../worker/domain/usage.ts';

const USAGE: Usage = { promptTokens: 250, cachedTokens: 192, completionTokens: 64, reasoningTokens: 64 };
const REASONING = { reasoning: true, profile: {} };

function answer(change: Partial<Usage> = {}, reasoned = true): CanaryAnswer {
  const text = { reasoning: reasoned ? 'Hm.' : '', content: 'They sing.', calls: [], isCut: false };
  return { usage: { ...USAGE, ...change }, text };
}

describe('the canary request', () => {
  it('is valid in the protocol, is longer than two cache pages, and has a cache salt of its own', () => {
    expect(GenerateRequest.strict().parse(CANARY_REQUEST)).toEqual(CANARY_REQUEST);
    const words = CANARY_REQUEST.messages![0]!.content!.split(/\s+/);
    // Every word with its space is at least one token.
    expect(words.length).toBeGreaterThan(2 * 64 + 1);
    expect(CANARY_REQUEST.cache_salt).toMatch(/^[0-9a-f]{32}$/);
  });

  it('has ids of its own, four for each attempt', () => {
    const { firstId, secondId, taskIds } = newCanaryIds(Date.now());
    for (const id of [firstId, ...taskIds]) expect(parseCanaryId(id)).toEqual({ secondId, isSecond: false });
    expect(parseCanaryId(secondId)).toEqual({ secondId, isSecond: true });
    expect(new Set([firstId, secondId, ...taskIds]).size).toBe(4);
    expect(firstId).toHaveLength(secondId.length);
    expect(isId('req', secondId)).toBe(false);
    for (const id of [newId('req', 1), '', 'canary_2', `${secondId}x`, secondId.replace('_2', '_5')])
      expect(parseCanaryId(id)).toBeNull();
  });
});

const MODES = {
  always: { mode: 'always' },
  never: { mode: 'never' },
  byDefault: { mode: 'switchable', byDefault: true, variable: 'enable_thinking' },
  onRequest: { mode: 'switchable', byDefault: false, variable: 'thinking' },
} as const;

describe('the canary request of a model', () => {
  const requestOf = (thinking: ModelProfile['thinking'], sampling = {}) =>
    canaryRequest({ reasoning: true, profile: { thinking, sampling } });

  it('switches thinking on where the template has a variable for it, whatever its default', () => {
    expect(requestOf(MODES.always)).toEqual(CANARY_REQUEST);
    expect(requestOf(MODES.never)).toEqual(CANARY_REQUEST);
    expect(requestOf(MODES.byDefault).template_variables).toEqual({ enable_thinking: true });
    expect(requestOf(MODES.onRequest).template_variables).toEqual({ thinking: true });
    expect(canaryRequest(REASONING)).toEqual(CANARY_REQUEST);
  });

  it('is sampled as the model recommends', () => {
    const { temperature, top_p } = requestOf(MODES.always, { temperature: 0.6, top_p: 0.95 });
    expect([temperature, top_p, requestOf(MODES.always).temperature]).toEqual([0.6, 0.95, 0]);
  });

  it('leaves the thought out of the tasks where it can', () => {
    const variables = (thinking: ModelProfile['thinking']) =>
      canaryTasks({ profile: { thinking } }).map(({ request }) => request.template_variables);
    expect(variables(MODES.byDefault)).toEqual([{ enable_thinking: false }]);
    expect(variables(MODES.onRequest)).toEqual([{ thinking: false }]);
    expect(variables(MODES.always)).toEqual([undefined]);
  });

  it('expects a thought of every model that can think, and none of one that cannot', () => {
    const judge = (thinking: ModelProfile['thinking'], reasoned: boolean) =>
      faultInAnswers([answer({}, reasoned), answer({}, reasoned)], {
        reasoning: false,
        profile: { thinking },
      });
    for (const mode of [MODES.always, MODES.byDefault, MODES.onRequest]) {
      expect([judge(mode, true), judge(mode, false)]).toEqual([null, 'no_reasoning']);
    }
    expect([judge(MODES.never, false), judge(MODES.never, true)]).toEqual([null, 'only_reasoning']);
  });
});

describe('two answers', () => {
  it('pass when their counts agree and the second was cached', () => {
    expect(faultInAnswers([answer({ cachedTokens: 0 }), answer()], REASONING)).toBeNull();
    expect(faultInAnswers([answer(), answer()], REASONING)).toBeNull();
    expect(
      faultInAnswers([answer({}, false), answer({}, false)], { reasoning: false, profile: {} }),
    ).toBeNull();
    expect(
      faultInAnswers([answer(), answer({ completionTokens: 1, reasoningTokens: 0 })], REASONING),
    ).toBeNull();
  });

  it.each([
    ['fewer prompt tokens than the prompt can have', { promptTokens: 1, cachedTokens: 1 }, 'prompt_tokens'],
    ['more prompt tokens than bytes', { promptTokens: 5_000 }, 'prompt_tokens'],
    ['more cached tokens than prompt tokens', { cachedTokens: 251 }, 'prompt_tokens'],
    ['no completion tokens', { completionTokens: 0, reasoningTokens: 0 }, 'completion_tokens'],
    ['more completion tokens than requested', { completionTokens: 65 }, 'completion_tokens'],
    [
      'more reasoning than completion tokens',
      { completionTokens: 10, reasoningTokens: 11 },
      'completion_tokens',
    ],
  ] as const)('fail with %s, in either', (_, change, fault) => {
    expect(faultInAnswers([answer(change), answer()], REASONING)).toBe(fault);
    expect(faultInAnswers([answer(), answer(change)], REASONING)).toBe(fault);
  });

  it('fail without reasoning from a reasoning model, in either', () => {
    expect(faultInAnswers([answer({}, false), answer()], REASONING)).toBe('no_reasoning');
    expect(faultInAnswers([answer(), answer({}, false)], REASONING)).toBe('no_reasoning');
  });

  it('fail when the prompt counts differ, or nothing was cached', () => {
    expect(faultInAnswers([answer({ promptTokens: 249 }), answer()], REASONING)).toBe('prompt_differs');
    expect(faultInAnswers([answer(), answer({ cachedTokens: 0 })], REASONING)).toBe('nothing_cached');
  });
});

describe('a receipt', () => {
  const reported = {
    prompt_tokens: 250,
    cached_tokens: 192,
    completion_tokens: 64,
    reasoning_tokens: 64,
  };

  it('agrees when every count is equal and the answer was finished', () => {
    expect(receiptAgrees(USAGE, { outcome: 'finished', usage: reported })).toBe(true);
    for (const outcome of ['aborted', 'failed', 'lost'] as const)
      expect(receiptAgrees(USAGE, { outcome, usage: reported })).toBe(false);
    for (const kind of Object.keys(reported) as (keyof typeof reported)[])
      expect(
        receiptAgrees(USAGE, { outcome: 'finished', usage: { ...reported, [kind]: reported[kind] - 1 } }),
      ).toBe(false);
  });
});

describe('the next attempt', () => {
  const failed = (atMs: number): CanaryAttempt => ({
    requestId: `canary at ${atMs}`,
    nodeId: 'node',
    atMs,
    usage: null,
    fault: 'unreachable',
    passedAtMs: null,
  });

  it('may begin at once, then after a pause that doubles up to ten minutes', () => {
    expect(nextAttemptAtMs([], 500)).toBe(500);
    const attempts: CanaryAttempt[] = [];
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      attempts.unshift(failed(1_000_000 * (i + 1)));
      waits.push((nextAttemptAtMs(attempts, 0)! - attempts[0]!.atMs) / 1_000);
    }
    expect(waits).toEqual([15, 30, 60, 120, 240, 480, 600, 600, 600]);
    expect(nextAttemptAtMs(attempts.slice(0, ATTEMPTS_CONSIDERED), 0)).toBe(nextAttemptAtMs(attempts, 0));
  });

  it('may begin at once when the node has entered its state again', () => {
    expect(nextAttemptAtMs([failed(2_000), failed(1_000)], 2_001)).toBe(2_001);
    expect(nextAttemptAtMs([failed(2_000), failed(1_000)], 1_500)).toBe(17_000);
  });

  it('waits for an open one, which becomes overdue', () => {
    const open = { ...failed(1_000), fault: null };
    const answered = { ...open, usage: USAGE };
    const lateMs = 1_000 + OPEN_MS_MAX + 1;
    expect(nextAttemptAtMs([open, failed(500)], 0)).toBeNull();
    expect(nextAttemptAtMs([answered], 0)).toBeNull();
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
  it('follows the operator’s actions', () => {
    const table = Object.fromEntries(
      NODE_STATES.map((state) => [state, NODE_ACTIONS.map((action) => nextState(state, action))]),
    );
    expect(NODE_ACTIONS).toEqual(['drain', 'quarantine', 'restore', 'remove']);
    expect(table).toEqual({
      canary: ['quarantined', 'quarantined', 'canary', 'removed'],
      active: ['draining', 'quarantined', 'active', 'removed'],
      draining: ['draining', 'quarantined', 'active', 'removed'],
      quarantined: ['quarantined', 'quarantined', 'canary', 'removed'],
      removed: [null, null, null, 'removed'],
    });
  });

  it('never becomes active without a passed canary, whatever the order of events', () => {
    const events = [...NODE_ACTIONS, 'engine_changed'] as const;
    const reached = new Set<NodeState>(['canary', 'quarantined']);
    for (const state of reached) for (const event of events) reached.add(nextState(state, event) ?? state);
    expect([...reached].sort()).toEqual(['canary', 'quarantined', 'removed']);
    // A changed engine makes the canary necessary again.
    expect([...reached]).toContain(nextState('active', 'engine_changed'));
    expect([...reached]).toContain(nextState('draining', 'engine_changed'));
  });
});
