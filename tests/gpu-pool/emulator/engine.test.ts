/** The scheduler, the prefix cache and the log beneath the HTTP surface. */
import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { virtualClock } from '../../../gpu-pool/emulator/clock.ts';
import { Engine, PRIORITIES_IGNORED, type PriorityScheduling } from '../../../gpu-pool/emulator/engine.ts';
import type { EngineRequestSpec, TokenCounts } from '../../../gpu-pool/emulator/engine-request.ts';
import { type LogLine, openEngineLog, readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import type { Finish } from '../../../gpu-pool/emulator/plan.ts';
import { PROFILES, type Profile } from '../../../gpu-pool/emulator/profiles.ts';
import { PAGE_TOKENS, RadixCache } from '../../../gpu-pool/emulator/radix-cache.ts';
import { renderChat, tokenize } from '../../../gpu-pool/emulator/tokenizer.ts';
import { complete, emulate, lastUsage, post, stream, user } from './client.ts';

const LONG = 'The quick brown fox jumps over the lazy dog and thinks about it. '.repeat(20);
const logFile = () => join(mkdtempSync(join(tmpdir(), 'emulator-')), 'engine.jsonl');

/** A request of `length` tokens, and a promise of its end. */
function engineRequest(
  rid: string,
  { length = 1_000, onToken = () => {}, ...rest }: Partial<EngineRequestSpec> & { length?: number } = {},
) {
  const { promise: ended, resolve } = Promise.withResolvers<{ finishes: Finish[]; counts: TokenCounts }>();
  const evicted: string[] = [];
  const token = { text: 'x', reasoning: false, isPart: false };
  const spec: EngineRequestSpec = {
    rid,
    choiceIds: [rid],
    cacheKey: '',
    prompt: [rid],
    choices: [{ tokens: Array.from({ length }, () => token), finish: { type: 'stop', matched: 1 } }],
    maxTokens: length,
    streaming: true,
    priority: 0,
    ignoreAbort: false,
    onToken,
    onEvicted: () => evicted.push(rid),
    onEnd: (finishes, counts) => resolve({ finishes, counts }),
    ...rest,
  };
  return { spec, ended, evicted };
}

/** An engine whose log lines are kept in memory. */
function virtualEngine({
  profile = {},
  queuedMax = 1_000,
  priorities = {},
}: {
  profile?: Partial<Profile>;
  queuedMax?: number;
  priorities?: Partial<PriorityScheduling>;
} = {}) {
  const lines: LogLine[] = [];
  const clock = virtualClock();
  const log = { write: (line: LogLine) => void lines.push(line), close() {} };
  const engine = new Engine({
    profile: { ...PROFILES['8xh200'], ...profile },
    ...{ clock, log, queuedMax, priorities: { ...PRIORITIES_IGNORED, ...priorities } },
  });
  return { engine, clock, lines };
}

describe('tokenizer', () => {
  it('gives every text back and stays under the bound of the edge', () => {
    const texts = [
      '',
      'Hello, wörld! 中文推理 🙂👨‍👩‍👧 \n\n\t x=1;',
      '    ',
      '🚀'.repeat(9),
      LONG,
      'ab\u0000c',
    ];
    for (const text of texts) {
      expect(tokenize(text).join('')).toBe(text);
      const messages = [
        { role: 'system', content: text },
        { role: 'assistant', content: text },
        { role: 'tool', content: text },
        { role: 'user', content: text },
      ];
      const tokens = renderChat(messages, { reasoning: true }).length;
      expect(tokens).toBeLessThanOrEqual(4 * (Buffer.byteLength(text) + 16) + 64);
    }
    expect(LONG.length / tokenize(LONG).length).toBeGreaterThan(3);
    expect(tokenize('👨‍👩‍👧').every((token) => token.isWellFormed())).toBe(true);
  });

  it('takes text that looks like a special token for that token, as the real one does', () => {
    expect(tokenize('a<｜User｜></think>')).toEqual(['a', '<｜User｜>', '</think>']);
    expect(tokenize('<｜ User｜>').length).toBeGreaterThan(1);
  });
});

describe('prefix cache', () => {
  const page = (name: string) => Array.from({ length: PAGE_TOKENS }, (_, index) => `${name}${index}`);

  it('keeps nothing when it is switched off', () => {
    const cache = new RadixCache({ enabled: false });
    cache.insert('', [...page('a'), 'tail']);
    expect(cache.tokens).toBe(0);
    expect(cache.match('', [...page('a'), 'other']).depthTokens).toBe(0);
  });

  it('matches whole pages and always leaves a token to compute', () => {
    const cache = new RadixCache();
    cache.insert('', [...page('a'), ...page('b'), 'tail']);
    expect(cache.tokens).toBe(2 * PAGE_TOKENS);
    expect(cache.match('', [...page('a'), ...page('b'), 'other']).depthTokens).toBe(2 * PAGE_TOKENS);
    expect(cache.match('', [...page('a'), ...page('b')]).depthTokens).toBe(PAGE_TOKENS);
    expect(cache.match('', [...page('a'), ...page('c'), 'x']).depthTokens).toBe(PAGE_TOKENS);
    expect(cache.match('other key', [...page('a'), 'x']).depthTokens).toBe(0);
  });

  it('evicts the least recently used leaf first and spares what is locked', () => {
    const cache = new RadixCache();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => [...page(name), 'end']) as [string[], string[], string[]];
    for (const tokens of [a, b, c]) cache.insert('', tokens);
    cache.insert('', a);
    cache.evictTo(2 * PAGE_TOKENS);
    expect([a, b, c].map((tokens) => cache.match('', tokens).depthTokens > 0)).toEqual([true, false, true]);
    const locked = cache.match('', c);
    cache.lock(locked);
    expect(cache.lockedTokens).toBe(PAGE_TOKENS);
    cache.evictTo(0);
    expect([a, b, c].map((tokens) => cache.match('', tokens).depthTokens > 0)).toEqual([false, false, true]);
    cache.unlock(locked);
    cache.evictTo(0);
    expect(cache.tokens).toBe(0);
  });

  it('hits on the second turn of a conversation, which comes without the reasoning', async () => {
    const { url } = await emulate();
    const first = await complete(url, { messages: user(LONG) });
    const prompt = first.usage.prompt_tokens;
    const messages = [...user(LONG), first.choices[0].message, ...user('And then?')];
    const second = await stream(url, { messages });
    const cached = lastUsage(second).prompt_tokens_details.cached_tokens;
    expect(cached).toBeGreaterThan(prompt - 2 * PAGE_TOKENS);
    expect(cached).toBeLessThan(prompt);
    const early = second.events.find((event) => event.usage);
    expect(early.usage.prompt_tokens_details).toEqual({ cached_tokens: cached });
  });

  it('keeps tenants apart by salt, and takes salt and extra key for two things', async () => {
    const { url } = await emulate();
    const cachedWith = async (keys: object) =>
      (await complete(url, { messages: user(LONG), ...keys })).usage.prompt_tokens_details?.cached_tokens ??
      0;
    expect(await cachedWith({ cache_salt: 'ab', extra_key: 'c' })).toBe(0);
    expect(await cachedWith({ cache_salt: 'x' })).toBe(0);
    expect(await cachedWith({ cache_salt: 'a', extra_key: 'bc' })).toBe(0);
    expect(await cachedWith({ cache_salt: 'ab', extra_key: 'c' })).toBeGreaterThan(0);
  });

  it('names no cached tokens without the cache report', async () => {
    const { url, engine } = await emulate({ cacheReport: false });
    for (let turn = 0; turn < 2; turn++) {
      expect((await complete(url, { messages: user(LONG) })).usage.prompt_tokens_details).toBeNull();
    }
    expect(engine.stats.cachedTokens).toBeGreaterThan(0);
  });

  it('forgets old prompts when the KV cache is full', async () => {
    const { url, engine } = await emulate({ override: { kvCapacityTokens: 1_000 } });
    const completeWith = (name: string) =>
      complete(url, { messages: user(`${name} ${LONG} [[reasoning=1 answer=2]]`), max_tokens: 4 });
    for (const name of ['one', 'two', 'six', 'ten']) await completeWith(name);
    expect(engine.cache.tokens).toBeLessThanOrEqual(1_000);
    expect((await completeWith('ten')).usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(300);
    expect((await completeWith('one')).usage.prompt_tokens_details.cached_tokens).toBe(0);
  });
});

describe('scheduler', () => {
  it('takes the time of the profile: prefill by tokens, decode by batch', async () => {
    const { engine, clock } = virtualEngine();
    const { prefillBaseMs, prefillTokensPerSecond, decodeBaseMs, decodePerSequenceMs } = PROFILES['8xh200'];
    const prompt = Array.from({ length: 16_000 }, (_, index) => `t${index}`);
    const request = engineRequest('a', { length: 11, prompt });
    engine.submit(request.spec);
    await request.ended;
    const prefillMs = prefillBaseMs + (16_000 / prefillTokensPerSecond) * 1_000;
    const expectedMs = prefillMs + 10 * (decodeBaseMs + decodePerSequenceMs);
    expect(clock.nowMs()).toBeCloseTo(expectedMs, 3);
    engine.close();
  });

  it('decodes a batch together, slower than one but far faster than one after the other', async () => {
    const alone = virtualEngine();
    const one = engineRequest('one', { length: 100 });
    alone.engine.submit(one.spec);
    await one.ended;
    const batch = virtualEngine();
    const many = Array.from({ length: 50 }, (_, index) => engineRequest(`many-${index}`, { length: 100 }));
    for (const { spec } of many) batch.engine.submit(spec);
    await Promise.all(many.map(({ ended }) => ended));
    expect(batch.clock.nowMs()).toBeGreaterThan(alone.clock.nowMs() * 1.5);
    expect(batch.clock.nowMs()).toBeLessThan(alone.clock.nowMs() * 10);
    for (const { engine } of [alone, batch]) engine.close();
  });

  it('queues what exceeds the running requests and refuses what exceeds the queue', async () => {
    const { engine } = virtualEngine({ profile: { maxRunningRequests: 2 }, queuedMax: 3 });
    const requests = ['a', 'b', 'c', 'd', 'e', 'f'].map((rid, index) =>
      engineRequest(rid, { length: 10 + 5 * index }),
    );
    const verdicts = requests.map(({ spec }) => engine.submit(spec));
    expect(verdicts).toEqual(['accepted', 'accepted', 'accepted', 'queue_full', 'queue_full', 'queue_full']);
    await requests[0]!.ended;
    expect(engine.load).toMatchObject({ runningRequests: 1, waitingRequests: 1 });
    await requests[1]!.ended;
    expect(engine.load).toMatchObject({ runningRequests: 1, waitingRequests: 0 });
    expect(engine.submit(requests[3]!.spec)).toBe('accepted');
    expect(engine.submit(requests[3]!.spec)).toBe('duplicate_rid');
    engine.close();
  });

  it.each([
    { priorities: { enabled: true }, priority: 11, order: ['interactive', 'background-2', 'background'] },
    { priorities: { enabled: true }, priority: 10, order: ['background', 'interactive', 'background-2'] },
    {
      priorities: { enabled: true, preemptionThreshold: 9 },
      priority: 10,
      order: ['interactive', 'background-2', 'background'],
    },
    {
      priorities: { enabled: true, lowFirst: true },
      priority: -11,
      order: ['interactive', 'background-2', 'background'],
    },
    { priorities: { enabled: false }, priority: 100, order: ['background', 'background-2', 'interactive'] },
  ])('preempts for priority $priority over 0 with $priorities in the order $order', async (options) => {
    const { engine } = virtualEngine({ profile: { maxRunningRequests: 1 }, priorities: options.priorities });
    const ended: string[] = [];
    const running = engineRequest('background', {
      length: 40,
      onToken: (_, __, { completionTokens }) => {
        if (completionTokens === 5) for (const { spec } of [second, first]) engine.submit(spec);
      },
    });
    const second = engineRequest('background-2', { length: 5 });
    const first = engineRequest('interactive', { length: 5, priority: options.priority });
    engine.submit(running.spec);
    const all = [running, second, first].map(async ({ spec, ended: end }) => {
      const { counts } = await end;
      ended.push(spec.rid);
      return counts.completionTokens;
    });
    expect(await Promise.all(all)).toEqual([40, 5, 5]);
    expect(ended).toEqual(options.order);
    expect(engine.cache.lockedTokens).toBe(0);
    engine.close();
  });

  it('stops at the next step after an abort of exactly that id, and drops ids that it does not know', async () => {
    const { engine } = virtualEngine();
    const requests = ['req-1', 'req-12', 'other'].map((rid) =>
      engineRequest(rid, {
        length: 60,
        onToken: (_, __, { completionTokens }) => {
          if (completionTokens === 5) engine.abort({ rid: 'othe' });
          if (rid === 'req-1' && completionTokens === 10) engine.abort({ rid: 'req-1' });
        },
      }),
    );
    for (const { spec } of requests) engine.submit(spec);
    const [first, second, other] = await Promise.all(requests.map(({ ended }) => ended));
    expect(first!.finishes).toEqual([{ type: 'abort', matched: null }]);
    expect(first!.counts.completionTokens).toBe(10);
    expect(second!.counts.completionTokens).toBe(60);
    expect(other!.counts.completionTokens).toBe(60);
    engine.close();
  });

  it('stops each of several choices by its own id, and none by that of the request', async () => {
    const { engine } = virtualEngine();
    const { tokens, finish } = engineRequest('all', { length: 60 }).spec.choices[0]!;
    const request = engineRequest('all', {
      choices: [0, 1, 2].map(() => ({ tokens, finish })),
      choiceIds: ['a', 'b', 'c'],
      onToken: (choice, _, { completionTokens }) => {
        if (choice !== 2) return;
        if (completionTokens === 5) engine.abort({ rid: 'all' });
        if (completionTokens === 10) engine.abort({ rid: 'a' });
        if (completionTokens === 20) for (const rid of ['b', 'c']) engine.abort({ rid });
      },
    });
    engine.submit(request.spec);
    const { finishes, counts } = await request.ended;
    expect(finishes.map(({ type }) => type)).toEqual(['abort', 'abort', 'abort']);
    expect(counts.completionTokens).toBe(10 + 20 + 20);
    engine.close();
  });

  it('evicts a waiting request of a lower priority where the queue is full, and counts every choice', async () => {
    const { engine } = virtualEngine({
      profile: { maxRunningRequests: 1 },
      queuedMax: 2,
      priorities: { enabled: true },
    });
    const submitted = ['old', 'new'].map((rid) => engineRequest(rid));
    const verdicts = submitted.map(({ spec }) => engine.submit(spec));
    const newcomer = engineRequest('newcomer', { priority: 1 });
    const three = engineRequest('three', { priority: 9 });
    three.spec.choices = [0, 1, 2].map(() => three.spec.choices[0]!);
    verdicts.push(engine.submit(newcomer.spec));
    verdicts.push(engine.submit(engineRequest('equal', { priority: 0 }).spec));
    expect(verdicts).toEqual(['accepted', 'accepted', 'accepted', 'queue_full']);
    expect(submitted.flatMap(({ evicted }) => evicted)).toEqual(['new']);
    expect(engine.submit(three.spec)).toBe('queue_full');
    engine.close();
  });

  it.each([
    { streaming: true, stage: 'in a stream', begun: true, noticeMs: 0 },
    { streaming: true, stage: 'in the queue', begun: false, noticeMs: 4_000 },
    { streaming: false, stage: 'without streaming', begun: true, noticeMs: 4_000 },
  ])('notices after $noticeMs ms that the client has disconnected $stage', async (options) => {
    const { engine, clock } = virtualEngine({ profile: { maxRunningRequests: 1 } });
    let leftAtMs = 0;
    const leave = () => {
      leftAtMs = clock.nowMs();
      engine.clientDisconnected('leaver');
    };
    const running = engineRequest('running', { length: 4_000 });
    const request = engineRequest('leaver', {
      streaming: options.streaming,
      onToken: (_, __, { completionTokens }) => {
        if (completionTokens === 10) leave();
      },
    });
    if (!options.begun) engine.submit(running.spec);
    engine.submit(request.spec);
    if (!options.begun) leave();
    const { finishes, counts } = await request.ended;
    const stepMs = PROFILES['8xh200'].decodeBaseMs + PROFILES['8xh200'].decodePerSequenceMs;
    expect(finishes[0]!.type).toBe('abort');
    expect(clock.nowMs() - leftAtMs).toBeGreaterThanOrEqual(options.noticeMs);
    expect(counts.completionTokens).toBe(options.begun ? 10 + Math.ceil(options.noticeMs / stepMs) : 0);
    engine.close();
  });

  it('writes a step to the log before its tokens go out', async () => {
    const { engine, lines } = virtualEngine();
    const seen: boolean[] = [];
    const logged = engineRequest('a', {
      length: 5,
      onToken: (_, __, { completionTokens }) =>
        seen.push(lines.some((line) => 'step' in line && line.step.a?.[0] === completionTokens)),
    });
    engine.submit(logged.spec);
    await logged.ended;
    expect(seen).toEqual([true, true, true, true, true]);
    expect(lines.at(-1)).toMatchObject({ end: 'a', completion_tokens: 5, finish: 'stop' });
    engine.close();
  });
});

describe('over HTTP', () => {
  it('ends an aborted stream with finish_reason abort, its usage and [DONE]', async () => {
    const log = logFile();
    const { url, engine } = await emulate({ speed: 20, log });
    const pending = stream(url, { messages: user('x [[reasoning=0 answer=90000]]'), rid: 'rid-abort' });
    await expect
      .poll(() => engine.stats.generationTokens, { interval: 5, timeout: 60_000 })
      .toBeGreaterThan(10);
    await fetch(`${url}/abort_request`, { method: 'POST', body: JSON.stringify({ rid: 'rid-abort' }) });
    const streamed = await pending;
    expect(streamed.events.at(-2).choices[0]).toMatchObject({ finish_reason: 'abort', matched_stop: null });
    expect(streamed.done).toBe(true);
    const { completion_tokens: sent } = lastUsage(streamed);
    expect(readEngineLog(log).get('rid-abort')).toMatchObject({ completionTokens: sent, finish: 'abort' });
    expect(sent).toBeGreaterThan(10);
  });

  it('notices a client that disconnected, and stops', async () => {
    const log = logFile();
    const { url } = await emulate({ speed: 40, log });
    const controller = new AbortController();
    const body = { messages: user('x [[reasoning=0 answer=90000]]'), rid: 'rid-left', stream: true };
    const response = await post(url, body, { signal: controller.signal });
    await response.body!.getReader().read();
    controller.abort();
    await expect
      .poll(() => readEngineLog(log).get('rid-left')?.finish, { timeout: 60_000, interval: 20 })
      .toBe('abort');
    expect(readEngineLog(log).get('rid-left')!.completionTokens).toBeLessThan(80_000);
  });

  it('logs what it sent, for many requests at once', async () => {
    const log = logFile();
    const { url } = await emulate({ log });
    const sent = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const rid = `rid-${index}`;
        const request = {
          messages: user(`${index} ${LONG}`),
          rid,
          n: 1 + (index % 3),
          max_tokens: 40 + index,
        };
        return [rid, lastUsage(await stream(url, request))] as const;
      }),
    );
    const logged = readEngineLog(log);
    expect(logged.size).toBe(60);
    for (const [rid, usage] of sent) {
      expect(logged.get(rid)).toMatchObject({
        promptTokens: usage.prompt_tokens,
        cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
        completionTokens: usage.completion_tokens,
        reasoningTokens: usage.reasoning_tokens,
        finished: true,
        attempts: 1,
      });
    }
    expect(readFileSync(log, 'utf8')).not.toContain('fox');
  });

  it('serves a thousand streams at once', async () => {
    const { url } = await emulate();
    const pending = Array.from({ length: 1_000 }, (_, index) =>
      stream(url, { messages: user(`${index} [[reasoning=2 answer=6]]`) }),
    );
    const streams = await Promise.all(pending);
    expect(streams.every(({ done }) => done)).toBe(true);
    expect(new Set(streams.map((streamed) => lastUsage(streamed).completion_tokens))).toEqual(new Set([8]));
  });
});

describe('log', () => {
  it('reads a log that was cut off, and goes on after the cut', () => {
    const path = logFile();
    writeFileSync(
      path,
      [
        '{"t":1,"start":"a","prompt_tokens":70,"cached_tokens":64}',
        '{"t":2,"step":{"a":[1,1],"b":[4,0]}}',
        '{"t":3,"step":{"a":[2,2]}}',
        '{"t":4,"step":{"a":[3,',
      ].join('\n'),
    );
    const counts = { promptTokens: 70, cachedTokens: 64, completionTokens: 2, reasoningTokens: 2 };
    const cut = readEngineLog(path);
    expect(cut.get('a')).toEqual({ ...counts, finished: false, finish: null, faults: [], attempts: 1 });
    expect(cut.get('b')).toMatchObject({ completionTokens: 4, finished: false });
    const log = openEngineLog(path);
    log.write({ t: 9, start: 'a', prompt_tokens: 70, cached_tokens: 0 });
    log.close();
    expect(readEngineLog(path).get('a')).toMatchObject({ cachedTokens: 0, completionTokens: 0, attempts: 2 });
    appendFileSync(path, '{"t":10,"end":"c","prompt_tokens":5,"cached_tokens":0,');
    expect(readEngineLog(path).has('c')).toBe(false);
  });
});
