/** The engine's queue, and priorities. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PRIORITY } from '../../../../gpu-pool/agent/sglang/request.ts';
import { type Assumption, notApplicable, type Verdict, verdict } from '../assumption.ts';
import type { Running } from '../direct-engine.ts';
import { begun, eventually, type Subject } from '../subject.ts';

const QUEUE = 'gpu-pool/agent/engine-queue.ts';
const ENGINE = 'gpu-pool/emulator/engine.ts';
/** More sequences than this would take a node's memory for minutes. */
const PLACES_MAX = 512;
const CHOICES_MAX = 8;
/** The longest wait of a request with a higher priority: a step, and the prefill of a short prompt. */
const AT_ONCE_MS = 2_000;

function needsPlaces({ places, facts }: Subject): Verdict | null {
  if (!facts.settings.enable_priority_scheduling)
    return notApplicable('the engine has no priority scheduling');
  if (places.queued === null) return notApplicable('the engine’s queue is unlimited');
  if (places.running + places.queued > PLACES_MAX)
    return notApplicable(`the engine has more than ${PLACES_MAX} places`);
  return null;
}

/** Fills every running place with requests of a priority, each of no more choices than may wait at once. */
async function fill({ engine, places, info }: Subject, priority: number): Promise<Running[]> {
  const { max_total_num_tokens: pool } = info as { max_total_num_tokens?: number };
  const tokens = Math.min(20_000, Math.floor((0.8 * (pool ?? 16_000)) / places.running));
  const running: Running[] = [];
  for (let left = places.running; left > 0; ) {
    const n = Math.min(CHOICES_MAX, places.queued ?? CHOICES_MAX, left);
    const request = engine.start(engine.endless({ n, priority, max_tokens: tokens }));
    await begun(request, n);
    running.push(request);
    left -= n;
  }
  return running;
}

function waitAt({ engine }: Subject, priority: number, count: number): Running[] {
  return Array.from({ length: count }, () => engine.start(engine.endless({ priority, max_tokens: 8 })));
}

async function leave({ engine }: Subject, requests: readonly Running[]): Promise<void> {
  for (const request of requests) request.leave();
  await engine.idleWithin(20_000);
}

const firstWithin = (request: Running, ms: number) =>
  eventually(() => request.chunks.some(({ choices }) => choices?.length), ms);
const codeOf = ({ chunks }: Running) => chunks.find(({ error }) => error)?.error?.code;

export const QUEUE_ROWS: readonly Assumption[] = [
  {
    id: 'queue/streamed-refusal',
    says: 'choices beyond all places are refused: with streaming by an event with the code 503 in a 200',
    madeBy: [QUEUE, 'gpu-pool/agent/sglang/engine-error.ts', 'gpu-pool/emulator/chat.ts'],
    async check(subject) {
      const { places, engine } = subject;
      if (places.queued === null) return notApplicable('the engine’s queue is unlimited');
      const n = places.running + places.queued + 1;
      if (n > PLACES_MAX) return notApplicable(`the engine has more than ${PLACES_MAX} places`);
      const { status, chunks } = await engine.stream(engine.endless({ n, max_tokens: 4 }));
      await engine.idleWithin(20_000);
      return verdict(
        '200: 503',
        `${status}: ${chunks.find(({ error }) => error)?.error?.code ?? 'no error'}`,
      );
    },
  },
  {
    id: 'queue/whole-refusal',
    says: 'without streaming they are refused with 503',
    madeBy: ['gpu-pool/agent/sglang/engine-error.ts', 'gpu-pool/emulator/chat.ts'],
    async check({ places, engine }) {
      if (places.queued === null) return notApplicable('the engine’s queue is unlimited');
      const n = places.running + places.queued + 1;
      if (n > PLACES_MAX) return notApplicable(`the engine has more than ${PLACES_MAX} places`);
      const { status, answer } = await engine.whole(engine.endless({ n, max_tokens: 4 }));
      await engine.idleWithin(20_000);
      return verdict('503 error 503', `${status} ${answer.object} ${answer.code}`);
    },
  },
  {
    id: 'queue/waiting-only',
    says: 'what arrives at once must fit the waiting queue, even at an idle engine',
    madeBy: [QUEUE, ENGINE],
    async check({ places, engine }) {
      if (places.queued === null) return notApplicable('the engine’s queue is unlimited');
      const n = places.queued + 1;
      if (n > places.running) return notApplicable('the engine has no more places to run than to wait');
      const { status } = await engine.whole(engine.endless({ n, max_tokens: 4 }));
      await engine.idleWithin(20_000);
      return verdict('503', String(status));
    },
  },
  {
    id: 'queue/preempts',
    says: `an interactive request takes the place of a running batch line: ${PRIORITY.interactive} over ${PRIORITY.background}`,
    madeBy: ['gpu-pool/agent/sglang/request.ts', 'gpu-pool/agent/active-requests.ts', ENGINE],
    async check(subject) {
      const unfit = needsPlaces(subject);
      if (unfit) return unfit;
      const batch = await fill(subject, PRIORITY.background);
      const startedMs = performance.now();
      const interactive = subject.engine.start(
        subject.engine.endless({ priority: PRIORITY.interactive, max_tokens: 4 }),
      );
      const most = AT_ONCE_MS + subject.stopWithinMs;
      const came = await firstWithin(interactive, most);
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(2);
      await leave(subject, [...batch, interactive]);
      return verdict(
        'a first token at once',
        came ? `a first token after ${seconds} s` : `none within ${seconds} s`,
        came,
      );
    },
  },
  {
    id: 'queue/threshold',
    says: 'a priority that is higher by no more than the threshold waits',
    madeBy: ['gpu-pool/agent/sglang/request.ts', 'gpu-pool/agent/sglang/faults.ts', ENGINE],
    async check(subject) {
      const unfit = needsPlaces(subject);
      if (unfit) return unfit;
      const batch = await fill(subject, 0);
      const priority = subject.facts.settings.priority_scheduling_preemption_threshold;
      const other = subject.engine.start(subject.engine.endless({ priority, max_tokens: 4 }));
      const came = await firstWithin(other, AT_ONCE_MS);
      await leave(subject, [...batch, other]);
      return verdict('waits', came ? 'runs' : 'waits');
    },
  },
  {
    id: 'queue/evicts',
    says: 'where the queue is full, a request of a higher priority throws out a waiting one of a lower, with 503; one of the same is refused',
    madeBy: [QUEUE, ENGINE],
    async check(subject) {
      const unfit = needsPlaces(subject);
      if (unfit) return unfit;
      const { engine, places } = subject;
      const queued = places.queued ?? 0;
      const running = await fill(subject, PRIORITY.interactive);
      const waiting = waitAt(subject, PRIORITY.background, queued);
      const full = await eventually(async () => (await engine.load()).waiting === queued, 10_000);
      const same = engine.start(engine.endless({ priority: PRIORITY.background, max_tokens: 4 }));
      const refused = await eventually(() => codeOf(same) !== undefined, 10_000);
      const higher = engine.start(engine.endless({ priority: PRIORITY.interactive, max_tokens: 4 }));
      await eventually(() => waiting.some((each) => codeOf(each) !== undefined), 10_000);
      await sleep(200);
      const thrownOut = waiting.filter((each) => codeOf(each) === 503).length;
      const seen = `${full ? 'full' : 'not full'}, the same ${refused ? codeOf(same) : 'taken'}, ${thrownOut} thrown out, the higher ${codeOf(higher) ?? 'waits'}`;
      await leave(subject, [...running, ...waiting, same, higher]);
      return verdict('full, the same 503, 1 thrown out, the higher waits', seen);
    },
  },
];
