/** How recorded conversations are made and read (tests/clients). */
import { describe, expect, it } from 'vitest';
import { type Fixture, storedFixture } from '../clients/fixture.ts';
import { issuedBy } from '../clients/issued.ts';
import { isOverflow, outcomeOf } from '../clients/outcome.ts';
import { filled, type ScrubContext, scrubbed } from '../clients/scrub.ts';

const context = (): ScrubContext => ({
  paths: [
    ['/tmp/x1/project', '/project'],
    ['/tmp/x1', '/home/user'],
  ],
  own: ['When is the meeting?'],
  issued: new Map([['call_0123456789abcdef0', '«0.1»']]),
  ids: new Map(),
});
const stream = (...events: object[]) => ({
  status: 200,
  type: 'text/event-stream',
  text: events.map((event) => `event: x\ndata: ${JSON.stringify(event)}\n\n`).join(''),
});

describe('a scrubbed request', () => {
  it('keeps structure, words of the format and the scenario’s texts, and of all others the length', () => {
    const body = {
      model: 'r1',
      system: 'You are an agent of some maker, and this is its text.',
      messages: [
        { role: 'user', content: 'When is the meeting?' },
        {
          role: 'assistant',
          tool_calls: [
            { id: 'call_0123456789abcdef0', function: { arguments: '{"path": "/tmp/x1/project/a"}' } },
          ],
        },
      ],
      metadata: {
        user: '1e2f3a4b-0000-4000-8000-0123456789ab',
        session: '1e2f3a4b-0000-4000-8000-0123456789ab',
      },
      device: 'a'.repeat(64),
      image: `data:image/png;base64,${'iVBORw0K'.repeat(20)}`,
    };
    expect(scrubbed(body, context())).toEqual({
      model: 'r1',
      system: '«53:17»',
      messages: [
        { role: 'user', content: 'When is the meeting?' },
        {
          role: 'assistant',
          tool_calls: [{ id: '«0.1»', function: { arguments: '{"path":"/project/a"}' } }],
        },
      ],
      metadata: { user: 'id-1', session: 'id-1' },
      device: 'id-2',
      image: 'data:image/png;base64,«image»',
    });
  });

  it('is filled with texts as long as those it had, and with the identities of the answers of now', () => {
    const filledBody = filled(
      { system: '«53:17»', id: '«0.1»', other: '«0.2»' },
      { issued: new Map([['«0.1»', 'call_now']]), density: 1 },
    );
    expect(filledBody).toEqual({
      system: expect.stringMatching(/^(abcd ){9}\.{8}$/),
      id: 'call_now',
      other: '«0.2»',
    });
    expect((filledBody as { system: string }).system).toHaveLength(53);
  });
});

describe('an outcome', () => {
  const said = {
    status: 200,
    ending: 'tool_use',
    text: 'Hi',
    thought: 3,
    ignored: [],
    error: null,
    metered: true,
  };
  const calls = [{ name: 'read', arguments: '{"a":1}' }];

  it('is the same of a streamed message and of a whole one', () => {
    const whole = {
      type: 'message',
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Hi' },
        { type: 'tool_use', id: 'toolu_123', name: 'read', input: { a: 1 } },
      ],
      stop_reason: 'tool_use',
      usage: { output_tokens: 5 },
    };
    const streamed = stream(
      { type: 'message_start', message: { usage: { output_tokens: 0 } } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hi' } },
      {
        type: 'content_block_start',
        index: 2,
        content_block: { type: 'tool_use', id: 'toolu_123', name: 'read', input: {} },
      },
      { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '{"a":1}' } },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 5 } },
    );
    expect(outcomeOf(streamed)).toEqual({ ...said, calls });
    expect(outcomeOf({ status: 200, type: 'application/json', text: JSON.stringify(whole) })).toEqual({
      ...said,
      calls,
    });
    expect(issuedBy(streamed)).toEqual(['toolu_123']);
  });

  it('is read from a stream of chunks, and from the last event of a response', () => {
    const chunks = stream(
      { choices: [{ delta: { reasoning_content: 'Hm.' } }] },
      {
        choices: [
          {
            delta: {
              content: 'Hi',
              tool_calls: [{ index: 0, function: { name: 'read', arguments: '{"a"' } }],
            },
          },
        ],
      },
      {
        choices: [
          {
            delta: { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] },
            finish_reason: 'tool_use',
          },
        ],
      },
      { choices: [], usage: { completion_tokens: 5 }, tollgate: { ignored: ['seed'] } },
    );
    expect(outcomeOf(chunks)).toEqual({ ...said, calls, ignored: ['seed'] });
    const output = [
      { type: 'reasoning', content: [{ text: 'Hm.' }] },
      { type: 'message', content: [{ text: 'Hi' }] },
      { type: 'function_call', name: 'read', arguments: '{"a":1}' },
    ];
    const response = { status: 'completed', output, usage: { output_tokens: 5 } };
    expect(outcomeOf(stream({ type: 'response.completed', response }))).toEqual({
      ...said,
      ending: 'completed',
      calls,
    });
  });

  it('names an error by its code', () => {
    const text = JSON.stringify({
      error: { type: 'invalid_request_error', code: 'context_length_exceeded' },
    });
    const answer = { status: 400, type: 'application/json', text };
    expect([outcomeOf(answer).error, isOverflow(answer)]).toEqual(['context_length_exceeded', true]);
  });
});

it('a fixture has each large part once', () => {
  const message = { role: 'user', content: 'x'.repeat(300) };
  const exchange = { method: 'POST', path: '/', headers: {}, outcome: outcomeOf(stream()) };
  const exchanges = [
    { ...exchange, body: { messages: [message] } },
    { ...exchange, body: { messages: [message, message] } },
  ];
  const fixture: Fixture = {
    client: 'c',
    version: '1',
    recorded: 'd',
    scenarios: { s: { turns: [{ answers: [], exchanges }] } },
  };
  const text = storedFixture(fixture);
  expect(text.split('x'.repeat(300))).toHaveLength(2);
});
