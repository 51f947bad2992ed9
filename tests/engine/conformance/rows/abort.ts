/** Aborts, and clients that leave. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DISCONNECT_NOTICE_MS } from '../../../../gpu-pool/emulator/engine.ts';
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { finishOf, type Running, totalOf } from '../direct-engine.ts';
import { freshWord } from '../prompts.ts';
import { begun, eventually, type Subject } from '../subject.ts';

const REQUESTS = 'gpu-pool/agent/active-requests.ts';
const ENGINE = 'gpu-pool/emulator/engine.ts';
const CHOICES = [1, 2, 3, 4, 5, 6, 7, 8] as const;

const within = (ms: number | null) =>
  ms === null ? 'not stopped' : `stopped after ${(ms / 1_000).toFixed(2)} s`;
const expected = ({ stopWithinMs }: Subject) => `stopped within ${stopWithinMs / 1_000} s`;
const fits = ({ places }: Subject, choices: number) =>
  choices <= places.running && choices <= (places.queued ?? choices);

/** The ids of a stream's choices. */
function idsOf({ chunks }: Running): string[] {
  const ids = new Map(
    chunks.flatMap(({ id, choices }) => (id && choices?.[0] ? [[choices[0].index, id] as const] : [])),
  );
  return [...ids.values()];
}

export const ABORT: readonly Assumption[] = [
  ...CHOICES.map(
    (n): Assumption => ({
      id: `abort/by-id-${n}`,
      says: `aborting ${n === 1 ? 'the request’s id' : `each of ${n} choices by the id in its chunks`} ends it, and the stream still reports its usage`,
      madeBy: [REQUESTS, 'gpu-pool/agent/answer-relay.ts'],
      async check(subject) {
        const { engine, stopWithinMs } = subject;
        if (!fits(subject, n)) return notApplicable(`the engine does not run and queue ${n} choices`);
        const running = engine.start(engine.endless({ n, rid: `req_${freshWord()}` }));
        await begun(running, n);
        const sentMs = performance.now();
        await Promise.all(idsOf(running).map((id) => engine.abort(id)));
        const ended = await Promise.race([running.streamed, sleep(stopWithinMs + 9_000, null)]);
        const ms = performance.now() - sentMs;
        const idle = await engine.idleWithin(stopWithinMs + 9_000);
        running.leave();
        const total = ended === null ? null : totalOf(ended.chunks);
        const reason = ended === null ? '' : finishOf(ended.chunks)?.finish_reason;
        return verdict(
          `${expected(subject)} (abort, usage)`,
          `${within(ended === null || idle === null ? null : ms)} (${reason}, ${total === null ? 'no usage' : 'usage'})`,
          ended !== null && idle !== null && ms <= stopWithinMs && total !== null && reason === 'abort',
        );
      },
    }),
  ),
  {
    id: 'abort/of-several-by-rid',
    says: 'an abort by the request’s own id is dropped with a 200 where it has several choices',
    madeBy: [REQUESTS, ENGINE],
    async check({ engine }) {
      const rid = `req_${freshWord()}`;
      const running = engine.start(engine.endless({ n: 2, rid }));
      await begun(running, 2);
      const { status } = await engine.abort(rid);
      await sleep(1_500);
      const { running: left } = await engine.load();
      running.leave();
      return verdict('200, 2 run on', `${status}, ${left} run on`);
    },
  },
  {
    id: 'abort/by-prefix',
    says: 'an abort by a part of an id is dropped with a 200',
    madeBy: [REQUESTS, 'gpu-pool/protocol/schemas.ts'],
    async check({ engine }) {
      const rid = `req_${freshWord()}`;
      const running = engine.start(engine.endless({ rid }));
      await begun(running);
      const { status } = await engine.abort(rid.slice(0, -3));
      await sleep(1_500);
      const { running: left } = await engine.load();
      running.leave();
      return verdict('200, 1 runs on', `${status}, ${left === 1 ? '1 runs on' : `${left} run on`}`);
    },
  },
  {
    id: 'abort/one-choice',
    says: 'an abort of one choice leaves the others running',
    madeBy: [REQUESTS, 'gpu-pool/agent/answer-relay.ts'],
    async check({ engine }) {
      const running = engine.start(engine.endless({ n: 2 }));
      await begun(running, 2);
      const [first = ''] = idsOf(running);
      await engine.abort(first);
      const alone = await eventually(async () => (await engine.load()).running === 1, 5_000);
      const { running: left } = await engine.load();
      running.leave();
      return verdict('1 runs on', alone ? '1 runs on' : `${left} run on`);
    },
  },
  ...([1, 3, 8] as const).map(
    (n): Assumption => ({
      id: `abort/left-stream-${n}`,
      says: `a client that leaves a stream of ${n} ${n === 1 ? 'choice' : 'choices'} stops the engine at once`,
      madeBy: [REQUESTS, ENGINE],
      async check(subject) {
        if (!fits(subject, n)) return notApplicable(`the engine does not run and queue ${n} choices`);
        const running = subject.engine.start(subject.engine.endless({ n }));
        await begun(running, n);
        running.leave();
        const ms = await subject.engine.idleWithin(subject.stopWithinMs + 9_000);
        return verdict(expected(subject), within(ms), ms !== null && ms <= subject.stopWithinMs);
      },
    }),
  ),
  ...([1, 3] as const).map(
    (n): Assumption => ({
      id: `abort/left-whole-${n}`,
      says: `a client that leaves a whole answer of ${n} ${n === 1 ? 'choice' : 'choices'} stops the engine within ${DISCONNECT_NOTICE_MS / 1_000} s`,
      madeBy: [ENGINE],
      async check({ engine, stopWithinMs }) {
        const request = engine.leavable(engine.endless({ n, stream: false }));
        const started = await eventually(async () => (await engine.load()).running === n, 20_000);
        request.leave();
        const ms = await engine.idleWithin(stopWithinMs + 19_000);
        const most = DISCONNECT_NOTICE_MS + stopWithinMs;
        return verdict(`stopped within ${most / 1_000} s`, within(ms), started && ms !== null && ms <= most);
      },
    }),
  ),
];
