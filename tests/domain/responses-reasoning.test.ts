/** Reasoning on the Responses API, where each client looks for it. */
import { describe, expect, it } from 'vitest';
import { readResponsesRequest } from '../../worker/gateway/dialects/openai-responses-request.ts';
import { responseFaults, responseStreamFaults } from '../shapes/openai-responses.ts';
import { nodeChunk, streamedText, wholeObject } from './dialect-answer.ts';

const CHUNKS = [
  nodeChunk({ reasoning_content: 'Let me ' }),
  nodeChunk({ reasoning_content: 'think.' }),
  nodeChunk({ content: 'Four.' }),
  nodeChunk({}, 'stop'),
];
const THOUGHT = 'Let me think.';
const SUMMARY = { reasoning: { summary: 'auto' } };
const INCLUDE = { include: ['reasoning.encrypted_content'] };

// biome-ignore lint/suspicious/noExplicitAny: tests look into them
async function events(body: object = {}): Promise<any[]> {
  const text = await streamedText('openaiResponses', CHUNKS, { body });
  expect(responseStreamFaults(text)).toEqual([]);
  return [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data!));
}

describe('a thought', () => {
  it('is the summary and the content of the whole item', async () => {
    const response = await wholeObject('openaiResponses', CHUNKS);
    expect(responseFaults(response)).toEqual([]);
    expect(response.output[0]).toMatchObject({
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: THOUGHT }],
      content: [{ type: 'reasoning_text', text: THOUGHT }],
      status: 'completed',
    });
    expect(response.output[0]).not.toHaveProperty('encrypted_content');
  });

  it.each([
    ['response.reasoning_summary_text', 'summary_index'],
    ['response.reasoning_text', 'content_index'],
  ])('is streamed as %s', async (name, index) => {
    const all = await events();
    const deltas = all.filter(({ type }) => type === `${name}.delta`);
    expect(deltas.map(({ delta }) => delta)).toEqual(['Let me ', 'think.']);
    expect(deltas.every((event) => event[index] === 0 && event.output_index === 0)).toBe(true);
    expect(all.find(({ type }) => type === `${name}.done`).text).toBe(THOUGHT);
  });

  it('begins and ends its parts around their deltas', async () => {
    const ofThought = (await events()).filter(({ output_index }) => output_index === 0);
    expect(ofThought.map(({ type }) => type.replace('response.', ''))).toEqual([
      'output_item.added',
      'reasoning_summary_part.added',
      'content_part.added',
      ...['reasoning_summary_text.delta', 'reasoning_text.delta'],
      ...['reasoning_summary_text.delta', 'reasoning_text.delta'],
      ...['reasoning_summary_text.done', 'reasoning_summary_part.done'],
      ...['reasoning_text.done', 'content_part.done'],
      'output_item.done',
    ]);
  });

  it('is streamed once where a summary is asked for, since such clients read both, and is whole at the end', async () => {
    const all = await events(SUMMARY);
    const deltas = all.filter(({ type }) => /reasoning.*delta/.test(type));
    expect(deltas.map(({ type }) => type)).toEqual(Array(2).fill('response.reasoning_summary_text.delta'));
    const { response } = all.at(-1);
    expect(response.reasoning.summary).toBe('auto');
    expect(response.output[0]).toMatchObject({ summary: [{ text: THOUGHT }], content: [{ text: THOUGHT }] });
    expect(response.output).toEqual((await wholeObject('openaiResponses', CHUNKS, { body: SUMMARY })).output);
  });
});

describe('encrypted_content', () => {
  const read = (item: object) =>
    readResponsesRequest(
      {
        model: 'm',
        input: [item, { role: 'assistant', content: 'Four.' }, { role: 'user', content: 'Why?' }],
      },
      new Headers(),
    );

  it('is there when included, and brings the thought back where a client sends nothing else of it', async () => {
    const { response } = (await events(INCLUDE)).at(-1);
    const { encrypted_content } = response.output[0];
    const sent = read({ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content });
    if (!sent.ok) throw new Error(JSON.stringify(sent.error));
    expect(sent.request.generate.messages![0]).toMatchObject({ reasoning_content: THOUGHT });
    expect(sent.request.ignored).toEqual([]);
  });

  it('of another provider is no thought', () => {
    const sent = read({ type: 'reasoning', summary: [], encrypted_content: 'gAAAAABo' });
    if (!sent.ok) throw new Error(JSON.stringify(sent.error));
    expect(sent.request.generate.messages![0]!).toMatchObject({ reasoning_content: undefined });
  });

  it('is the only include that is not named as ignored', () => {
    const ignored = (include: string[]) => {
      const sent = readResponsesRequest({ model: 'm', input: 'Hi', include }, new Headers());
      return sent.ok && sent.request.ignored;
    };
    expect(ignored(['reasoning.encrypted_content'])).toEqual([]);
    expect(ignored(['reasoning.encrypted_content', 'file_search_call.results'])).toEqual(['include']);
  });
});
