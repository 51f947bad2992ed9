/** Malformed HTTP on a bare socket, which no client library sends: false lengths, repeated headers, bodies that never arrive. */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { balance, chatBody, type Local, startLocal } from './local.ts';
import { parseAnswer } from './raw-client.ts';

let local: Local;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.end());

/** Enough for a response, and much less than a hanging connection would take. */
const PATIENCE_MS = 10_000;

/**
 * Writes `text` as it is and waits for the answer. With `leave`, the client's side is closed right after writing.
 * @returns what arrived until the connection was closed or the answer was complete
 */
function wire(text: string, { leave = false }: { leave?: boolean } = {}) {
  const { hostname, port } = new URL(local.stack.dev.baseUrl);
  return new Promise<ReturnType<typeof parseAnswer> & { gaveUp: boolean }>((resolve) => {
    const socket = connect({ host: hostname === 'localhost' ? '127.0.0.1' : hostname, port: Number(port) });
    const arrived: Buffer[] = [];
    let gaveUp = false;
    const timer = setTimeout(() => {
      gaveUp = true;
      socket.destroy();
    }, PATIENCE_MS);
    socket.on('connect', () => socket.write(text, () => leave && socket.end()));
    socket.on('data', (data) => {
      arrived.push(data);
      if (parseAnswer(Buffer.concat(arrived)).complete) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve({ ...parseAnswer(Buffer.concat(arrived)), gaveUp });
    });
  });
}

const BODY = chatBody('Hi [[reasoning=5 answer=5]]');
function request(headers: readonly string[], body = BODY): string {
  const lines = [
    'POST /v1/chat/completions HTTP/1.1',
    'host: localhost',
    'content-type: application/json',
    `authorization: Bearer ${local.stack.dev.apiKey}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
const length = (bytes: number) => `content-length: ${bytes}`;
const REAL = Buffer.byteLength(BODY);
const TOO_LONG = 5 * 2 ** 20;

it('the same request with a correct length is served', async () => {
  const answer = await wire(request([length(REAL)]));
  expect([answer.status, JSON.parse(answer.body).usage.completion_tokens]).toEqual([200, 10]);
});

const malformed: [string, () => string, { leave?: boolean }, number][] = [
  ['a length that is too short', () => request([length(REAL - 1)]), {}, 400],
  [
    'a length that is too long, from a client that leaves',
    () => request([length(REAL + 1)]),
    { leave: true },
    400,
  ],
  ['two lengths that differ', () => request([length(REAL), length(5)]), {}, 400],
  ['a negative length', () => request([length(-1)]), {}, 400],
  ['a length past 4 MiB', () => request([length(TOO_LONG)]), {}, 413],
  ['a length and chunks', () => request([length(REAL), 'transfer-encoding: chunked'], '0\r\n\r\n'), {}, 400],
  ['chunks that are no hex', () => request(['transfer-encoding: chunked'], 'zz\r\n'), { leave: true }, 400],
  ['no body at all', () => request([], ''), {}, 400],
  ['a second Authorization', () => request([length(REAL), 'authorization: Bearer other']), {}, 401],
  [
    'the same Authorization twice',
    () => request([length(REAL), `authorization: Bearer ${local.stack.dev.apiKey}`]),
    {},
    401,
  ],
  ['a header of 200 KB', () => request([length(REAL), `x-session-id: ${'x'.repeat(200_000)}`]), {}, 400],
];

it.each(malformed)('%s is rejected without a hang and costs nothing', async (_, text, options, status) => {
  const before = await balance(local);
  const answer = await wire(text(), options);
  expect(answer.gaveUp).toBe(false);
  expect(answer.status).toBe(status);
  expect(await balance(local)).toEqual(before);
});

it('a body past 4 MiB is rejected by its length, and the error says why', async () => {
  const { status, body } = await wire(request([length(TOO_LONG)]));
  expect([status, JSON.parse(body)]).toMatchObject([413, { error: { code: 'body_too_large' } }]);
});
