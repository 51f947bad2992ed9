/**
 * A node's answers in the client's dialect, with the marks of a real agent (gpu-pool/answers): every event of a write has
 * left in one turn, at the pace of the workload. All have one request id, which no client of the bench reads.
 */
import { ReadyAnswer } from '../../gpu-pool/answers/ready-answer.ts';
import {
  ANSWER_HEADER,
  ANSWER_READY,
  type AnswerFormat,
  type NodeUsage,
} from '../../gpu-pool/protocol/schemas.ts';
import { type Answer, chunked, eventsPerWrite, nodeChunks } from './answers.ts';
import { MODEL, type Workload } from './workloads.ts';

/** Where a request says that its answer is to be in the client's dialect. */
const ASKED = '"answer":{';

export function asksReady(body: Buffer): boolean {
  return body.includes(ASKED);
}

export function answerFormat({ stream }: Workload): AnswerFormat {
  const request_id = `req_${'0'.repeat(26)}`;
  const head = {
    request_id,
    created_at_ms: Date.UTC(2026, 10, 1),
    model: MODEL,
    revision: 'bench',
    ignored: [],
  };
  return { dialect: 'chat', stream, head, choices: 1 };
}

const prepared = new Map<string, Answer>();

/** Answers to `POST /v1/generate` that ask for it. The pace counts: a mark says when it was written. */
export function readyAnswer(workload: Workload): Answer {
  const key = `${workload.name},${workload.paceMs ?? 0}`;
  const known = prepared.get(key);
  if (known) return known;
  const answer = written(workload);
  prepared.set(key, answer);
  return answer;
}

function written(workload: Workload): Answer {
  const { stream, paceMs } = workload;
  const chunks = nodeChunks(workload);
  const ready = new ReadyAnswer(answerFormat(workload), null, 0);
  const perWrite = eventsPerWrite(workload);
  const texts: string[] = [];
  for (let at = 0; at < chunks.length; at += perWrite) {
    texts.push(ready.take(chunks.slice(at, at + perWrite), texts.length * (paceMs ?? 0)));
  }
  const generated: NodeUsage = chunks.at(-1)!.usage;
  texts.push(ready.finish('finished', { generated, nowMs: texts.length * (paceMs ?? 0) }));
  const type = stream ? 'text/event-stream; charset=utf-8' : 'application/x-ndjson';
  return chunked(
    texts.filter((text) => text !== ''),
    {
      'content-type': type,
      'cache-control': 'no-store',
      [ANSWER_HEADER]: ANSWER_READY,
    },
  );
}
