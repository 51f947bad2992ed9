/** The emulator's context, as SGLang has it: what it refuses and how, and what it counts at /tokenize. */
import { describe, expect, it } from 'vitest';
import { dumps, parsePython } from '../../../gpu-pool/emulator/python-json.ts';
import { promptPieces } from '../../../gpu-pool/emulator/tokenizer.ts';
import { complete, emulate, type Json, post, stream, user } from './client.ts';

const CONTEXT = 500;
/** A conversation of exactly so many tokens: six are the template's. */
const tokens = (count: number) => user('a '.repeat(count - 5));

async function count(url: string, body: object): Promise<Json> {
  const response = await fetch(`${url}/tokenize`, { method: 'POST', body: JSON.stringify(body) });
  return response.json();
}

describe('the context', () => {
  it('is that of prompt and answer together, and a request past it gets 400 before any work', async () => {
    const { url, engine } = await emulate({ contextLength: CONTEXT });
    for (const streamed of [true, false]) {
      const ask = (prompt: number, max_tokens: number) =>
        post(url, { model: 'r1', messages: tokens(prompt), max_tokens, stream: streamed });
      const tooLong = await ask(CONTEXT, 1);
      expect([tooLong.status, (await tooLong.json()).message]).toEqual([
        400,
        `The input (${CONTEXT} tokens) is longer than the model's context length (${CONTEXT} tokens).`,
      ]);
      const together = await ask(CONTEXT - 50, 51);
      expect([together.status, (await together.json()).code]).toEqual([400, 400]);
      expect((await ask(CONTEXT - 50, 50)).status).toBe(200);
    }
    expect(engine.stats.generationTokens).toBeLessThanOrEqual(100);
  });

  it('keeps six tokens back, which the scheduler finds: with streaming as an event of a 200', async () => {
    const { url } = await emulate({ contextLength: CONTEXT });
    const longest = { messages: tokens(CONTEXT - 7), max_tokens: 1 };
    expect((await complete(url, longest)).usage.prompt_tokens).toBe(CONTEXT - 7);
    const body = { messages: tokens(CONTEXT - 6), max_tokens: 1 };
    expect((await complete(url, body)).code).toBe(400);
    const { status, events, done } = await stream(url, body);
    expect([status, done, events[0].error.code]).toEqual([200, true, 400]);
  });
});

describe('/tokenize', () => {
  it('counts a conversation with its tools, and a text, exactly as they are billed', async () => {
    const { url } = await emulate();
    const tools = [{ type: 'function', function: { name: 'f', parameters: { enum: [1, 2, 3] } } }];
    const called = { type: 'function', function: { name: 'f', arguments: '{"a":1e15}' } };
    const history = [{ role: 'assistant', content: null, tool_calls: [{ id: 'a', ...called }] }];
    for (const body of [
      { messages: user('Hello') },
      { messages: user('Hello'), tools },
      { messages: user('Hello'), tools, tool_choice: 'none' },
      { messages: [...user('Hello'), ...history, { role: 'tool', content: '5', tool_call_id: 'a' }] },
    ]) {
      const counted = await count(url, body);
      expect(counted.count).toBe((await complete(url, { ...body, max_tokens: 1 })).usage.prompt_tokens);
      expect(counted.tokens).toHaveLength(counted.count);
      expect(counted.max_model_len).toBe(163_840);
    }
    expect((await count(url, { prompt: 'a b' })).count).toBe(3);
    expect((await count(url, { messages: [] })).code).toBe(400);
  });
});

describe('JSON as Python writes it', () => {
  it.each([
    ['{"a":[1,2,{"b":null}],"c":true}', '{"a": [1, 2, {"b": null}], "c": true}'],
    [
      '[1.0,1e15,1e16,123456.789,1e-5,0.0001,-2.5E+3]',
      '[1.0, 1000000000000000.0, 1e+16, 123456.789, 1e-05, 0.0001, -2500.0]',
    ],
    ['[9223372036854775807,18446744073709551616]', '[9223372036854775807, 1.8446744073709552e+19]'],
    ['"é\\u00e9 \\n /"', '"éé \\n /"'],
  ])('writes %s', (json, written) => {
    expect(dumps(parsePython(json))).toBe(written);
  });
});

describe('definitions of tools in a prompt', () => {
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
  const other = { type: 'function', function: { name: 'g', strict: true, description: 'd' } };
  const tools = [tool, other];
  const textOf = (toolsAsWritten: boolean) =>
    promptPieces(user('x'), { tools, reasoning: true, toolsAsWritten })
      .map((piece) => ('text' in piece ? piece.text : ''))
      .join('');

  it('are as the client wrote them, as 0.5.23 dumps them', () => {
    const text = textOf(true);
    expect(text).toContain(
      '{"name": "f", "parameters": {"type": "object"}, "description": null}, "defer_loading": null}',
    );
    expect(text).toContain('{"name": "g", "strict": true, "description": "d", "parameters": null}');
  });

  it('have every field of SGLang’s own, as 0.5.20 dumps them', () => {
    expect(textOf(false)).toContain(
      '{"description": null, "name": "f", "parameters": {"type": "object"}, "strict": false}',
    );
  });

  it('are shorter in 0.5.23, and only of the tool that is named', async () => {
    const body = { messages: user('x'), tools };
    const named = { ...body, tool_choice: { type: 'function', function: { name: 'g' } } };
    const [old, recent] = [await emulate({ version: '0.5.20' }), await emulate()];
    expect((await count(recent.url, body)).count).toBeLessThan((await count(old.url, body)).count);
    const alone = await count(recent.url, { ...body, tools: [other] });
    expect((await count(recent.url, named)).count).toBe(alone.count);
  });
});
