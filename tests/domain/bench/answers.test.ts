/** The upstream's answers: a write and a wait for each event where a stream is paced, bursts else; an engine's real form. */
import { describe, expect, it } from 'vitest';
import { StreamReader } from '../../../gpu-pool/agent/sglang/stream.ts';
import { MarkReader } from '../../../gpu-pool/answers/mark-reader.ts';
import { nodeAnswers, openAiAnswers } from '../../bench/answers.ts';
import { engineAnswer } from '../../bench/engine-answers.ts';
import { asksReady, readyAnswer } from '../../bench/ready-answers.ts';
import {
  ANSWERED,
  requestBody,
  TOKEN,
  type Workload,
  workloadIn,
  workloadNamed,
} from '../../bench/workloads.ts';

const streams = ANSWERED.filter(({ stream }) => stream);

function eventsIn(writes: readonly Buffer[]): string[] {
  const text = Buffer.concat([...writes]).toString();
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data!);
}

function engineEvents(workload: Workload): string[] {
  return eventsIn(engineAnswer('/v1/chat/completions', () => workload).writes);
}

describe('answers of the upstream', () => {
  it.each(streams)('have every token of $title, and end', ({ name, tokens }) => {
    for (const answers of [openAiAnswers, nodeAnswers]) {
      const events = eventsIn(answers.get(name)!);
      expect(events.join('').split(TOKEN).length - 1).toBe(tokens);
      expect(events.at(-1)).toBe('[DONE]');
    }
  });

  it('write one event at a time where the stream is paced, sixteen else', () => {
    const perWrite = (name: string) => eventsIn(openAiAnswers.get(name)!.slice(0, 1)).length;
    expect(perWrite('paced')).toBe(1);
    expect(perWrite('stream')).toBe(16);
  });

  it('are found by the marker in a request, with the pace that the run has chosen', () => {
    const faster = { ...workloadNamed('paced'), paceMs: 10 };
    expect(workloadIn(Buffer.from(requestBody(faster)))).toEqual(faster);
    const whole = workloadNamed('prompt');
    expect(workloadIn(Buffer.from(requestBody(whole)))).toEqual(whole);
  });
});

describe('answers of a node in the client’s dialect', () => {
  it.each(ANSWERED)('have every token of $title, with marks and an end', (workload) => {
    const writes = readyAnswer(workload);
    const reader = new MarkReader();
    for (const write of writes) reader.push(write);
    expect(reader.last?.usage.completion_tokens).toBe(workload.tokens);
    expect(reader.end).toMatchObject({
      ended: 'finished',
      generated: { completion_tokens: workload.tokens },
    });
    // Chat has each piece of a thought under two names.
    const times = workload.reasoning ? 2 : 1;
    const text = Buffer.concat([...writes]).toString();
    expect(text.split(TOKEN).length - 1).toBe(times * workload.tokens);
  });

  it('say when they were written, by the pace that was asked for', () => {
    const marksOf = (paceMs: number) => {
      const reader = new MarkReader();
      return readyAnswer({ ...workloadNamed('paced'), paceMs }).map((write) => {
        reader.push(write);
        return reader.last?.ms;
      });
    };
    expect(marksOf(10).slice(0, 3)).toEqual([0, 10, 20]);
    expect(marksOf(20).slice(0, 3)).toEqual([0, 20, 40]);
  });

  it('are asked for by a request of the edge that names them', () => {
    expect(asksReady(Buffer.from('{"messages":[],"answer":{"dialect":"chat"}}'))).toBe(true);
    expect(asksReady(Buffer.from('{"messages":[{"content":"an \\"answer\\":{"}]}'))).toBe(false);
  });
});

describe('answers of the engine', () => {
  it.each(ANSWERED)('are read by the agent as $title', (workload) => {
    const reader = new StreamReader({
      ...{ choices: 1, maxTokens: workload.tokens + 16, json: false, stop: [], oneCall: false },
      newCallId: () => 'call',
      onChoiceId: () => {},
      onAnomaly: (kind) => expect(kind).toBe('never'),
    });
    reader.readAs({ parsers: { reasoning: 'deepseek-r1', tools: 'deepseekv3' }, calls: null });
    const read = engineEvents(workload)
      .slice(0, -1)
      .map((event) => reader.read(event));
    const deltas = read.flatMap((each) =>
      each.kind === 'chunk' ? (each.chunk?.choices ?? []).map(({ delta }) => delta) : [],
    );
    const field = workload.reasoning ? 'reasoning_content' : 'content';
    const text = deltas.map((delta) => delta[field] ?? '').join('');
    expect(text).toBe(`${TOKEN} `.repeat(workload.tokens));
    expect(reader.usage).toMatchObject({
      prompt_tokens: workload.promptTokens,
      completion_tokens: workload.tokens,
    });
  });
});
