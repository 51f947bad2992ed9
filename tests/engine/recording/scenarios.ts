/**
 * Scenarios of several requests at once, and of requests that are aborted or left. The same steps run
 * against a real engine, whose outcome is recorded, and against the emulator. They wait for what they need to have
 * happened and never for a time, and their outcome holds what does not depend on speed.
 *
 * The engine runs two sequences and keeps two more waiting, heeds priorities, and reports its cache.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, begin, exchange, type Running, type Target } from './exchange.ts';

const CHAT = '/v1/chat/completions';
const COUNTED = { stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } };

type Body = Record<string, unknown>;

/** An answer that does not end by itself. */
export const LONG = { role: 'user', content: 'write a long story' };
const long = (target: Target, body: Body = {}): Running =>
  begin(target, {
    path: CHAT,
    body: { model: 'm', temperature: 0, messages: [LONG], max_tokens: 5_000, ...body },
  });
const short = (target: Target, body: Body = {}): Running =>
  begin(target, {
    path: CHAT,
    body: { model: 'm', temperature: 0, messages: [LONG], max_tokens: 2, ...body },
  });

const abort = (target: Target, rid: string) =>
  exchange(target, { path: '/abort_request', body: { rid }, key: 'admin' });

export type Scenario = (target: Target) => Promise<unknown>;

export const SCENARIOS: Record<string, Scenario> = {
  /** Two run, two wait, and everybody else is refused. */
  async 'queue is full'(target) {
    const { all } = await crowd(target, { running: {}, waiting: {} });
    const refused = {
      whole: await short(target).answer,
      streamed: await short(target, { stream: true }).answer,
      counted: await short(target, COUNTED).answer,
      severalChoices: await short(target, { n: 3 }).answer,
    };
    await leaveAll(target, all);
    return refused;
  },

  /** The newest of the lowest priority gives up its place in the queue for a request of a higher one. */
  async 'waiting line is evicted'(target) {
    const { all, waiting } = await crowd(target, { running: { priority: 100 }, waiting: { priority: 0 } });
    const newcomers = [short(target, { priority: 100 }), short(target, { priority: 100 })];
    const [second, first] = [await waiting[1]!.answer, await waiting[0]!.answer];
    await leaveAll(target, [...all, ...newcomers]);
    return { streamed: first, whole: second };
  },

  /** A difference of 10 preempts nobody, one of 11 does. */
  async 'running line is preempted'(target) {
    const running = [long(target, { ...COUNTED, priority: 0 }), long(target, { ...COUNTED, priority: 0 })];
    await Promise.all(running.map((each) => each.frames(FRAMES)));
    const higher = long(target, { ...COUNTED, priority: 10 });
    await waitFor(target, { running: 2, waiting: 1 });
    const muchHigher = long(target, { ...COUNTED, priority: 11 });
    await muchHigher.frames(FRAMES);
    // It keeps its place, so the other cannot have had one before, either.
    const isFirst = higher.seen().length === 0;
    await leaveAll(target, [...running, higher, muchHigher]);
    const { status } = await muchHigher.answer;
    return { status, isFirst };
  },

  async 'stream is aborted'(target) {
    const running = long(target, { ...COUNTED, rid: 'aborted-stream' });
    await running.frames(FRAMES);
    const { status } = await abort(target, 'aborted-stream');
    return { status, end: endOf(await running.answer) };
  },

  async 'stream is aborted by a part of its id'(target) {
    const running = long(target, { ...COUNTED, rid: 'aborted-by-part' });
    await running.frames(FRAMES);
    const { status } = await abort(target, 'aborted');
    const goesOn = await running.frames(5 * FRAMES);
    await leaveAll(target, [running]);
    return { status, goesOn };
  },

  async 'whole answer is aborted'(target) {
    const running = long(target, { rid: 'aborted-whole' });
    await waitFor(target, { running: 1, waiting: 0 });
    await abort(target, 'aborted-whole');
    return wholeWithoutText(await running.answer);
  },

  async 'waiting request is aborted'(target) {
    const running = [long(target, COUNTED), long(target, COUNTED)];
    await Promise.all(running.map((each) => each.frames(FRAMES)));
    const streamed = long(target, { ...COUNTED, rid: 'aborted-waiting' });
    const whole = long(target, { rid: 'aborted-waiting-whole' });
    await waitFor(target, { running: 2, waiting: 2 });
    await abort(target, 'aborted-waiting');
    await abort(target, 'aborted-waiting-whole');
    const outcome = { streamed: endOf(await streamed.answer), whole: wholeWithoutText(await whole.answer) };
    await leaveAll(target, running);
    return outcome;
  },

  /** Each choice has an id of its own, and the request's aborts none of them. */
  async 'several choices are aborted'(target) {
    const running = long(target, { ...COUNTED, n: 2, rid: 'aborted-choices' });
    await running.frames(2 * FRAMES);
    const { status } = await abort(target, 'aborted-choices');
    const goesOn = await running.frames(10 * FRAMES);
    const ids = running.seen().map((frame) => (frame as { id?: string }).id);
    const distinct = [...new Set(ids)].filter((id) => id !== undefined);
    for (const id of distinct) await abort(target, id);
    return { status, goesOn, ids: distinct.length, end: endOf(await running.answer) };
  },

  async 'id is taken'(target) {
    const running = long(target, { ...COUNTED, rid: 'taken' });
    await running.frames(FRAMES);
    const { status, body } = await short(target, { rid: 'taken' }).answer;
    await leaveAll(target, [running]);
    return { status, body };
  },

  /** A client that leaves makes room, whether its request was running or waiting. */
  async 'clients leave'(target) {
    const { all } = await crowd(target, { running: {}, waiting: {} });
    await leaveAll(target, all);
    const whole = long(target);
    await waitFor(target, { running: 1, waiting: 0 });
    await leaveAll(target, [whole]);
    return (await short(target).answer).status;
  },
};

/** Frames after which a stream is under way. */
const FRAMES = 5;

/** Two requests that run and two that wait. The second of each is not streamed. */
async function crowd(target: Target, { running, waiting }: { running: Body; waiting: Body }) {
  const runners = [long(target, { ...COUNTED, ...running }), long(target, running)];
  await runners[0]!.frames(FRAMES);
  await waitFor(target, { running: 2, waiting: 0 });
  const first = long(target, { ...COUNTED, ...waiting });
  await waitFor(target, { running: 2, waiting: 1 });
  const second = long(target, waiting);
  await waitFor(target, { running: 2, waiting: 2 });
  return { all: [...runners, first, second], waiting: [first, second] };
}

/** Closes all connections and waits until the engine has nothing left to do. */
async function leaveAll(target: Target, requests: readonly Running[]): Promise<void> {
  for (const each of requests) each.leave();
  await waitFor(target, { running: 0, waiting: 0 });
}

const LOOK_AGAIN_MS = 100;

/** Waits until the engine reports so many requests. A test's own limit of time ends one that never does. */
async function waitFor(target: Target, expected: { running: number; waiting: number }): Promise<void> {
  for (;;) {
    const { body } = await exchange(target, { path: '/v1/loads?include=core' });
    const [load] = (body as { loads: { num_running_reqs: number; num_waiting_reqs: number }[] }).loads;
    const { num_running_reqs: running, num_waiting_reqs: waiting } = load!;
    if (running === expected.running && waiting === expected.waiting) return;
    await sleep(LOOK_AGAIN_MS);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: frames of any shape are walked through
type Json = any;

/** The end of a stream behind its last text, and how many tokens its usage counts that no frame had brought. */
function endOf({ status, frames = [] }: Answer) {
  const hasText = (frame: Json) => typeof frame?.choices?.[0]?.delta?.reasoning_content === 'string';
  const last = frames.findLastIndex(hasText);
  const counts = new Map<number, number>();
  for (const frame of frames as Json[])
    if (frame?.usage && frame.choices.length > 0)
      counts.set(frame.choices[0].index, frame.usage.completion_tokens);
  const shown = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const total = (frames.findLast((frame: Json) => frame?.usage) as Json)?.usage.completion_tokens ?? 0;
  const end = frames.slice(last + 1) as Json[];
  const choiceOf = (frame: Json): number => frame?.choices?.[0]?.index ?? Number.MAX_SAFE_INTEGER;
  // Choices end in any order, and with the id of the one that was heard last.
  const sorted = end.sort((one, other) => choiceOf(one) - choiceOf(other));
  const id = counts.size > 1 ? { id: 'of a choice' } : {};
  const told = (frame: Json) => ({
    ...frame,
    ...id,
    created: 'time',
    ...(frame.usage ? { usage: 'usage' } : {}),
  });
  return {
    status,
    frames: sorted.map((frame) => (typeof frame === 'object' ? told(frame) : frame)),
    isCounted: total >= shown,
  };
}

/** A whole answer without what depends on when it was cut. */
function wholeWithoutText({ status, body }: Answer) {
  const { choices, usage, metadata, created: _, ...rest } = body as Json;
  if (choices === undefined) return { status, body };
  const cut = choices.map(({ message, ...choice }: Json) => ({
    ...choice,
    message: { ...message, reasoning_content: typeof message.reasoning_content },
  }));
  const isSum = usage.total_tokens === usage.prompt_tokens + usage.completion_tokens;
  return { status, body: { ...rest, choices: cut, metadata: typeof metadata, isSum } };
}
