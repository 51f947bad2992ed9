/** Request tokens and claims, and the fields of a request that reach the engine. */
import { exportJWK, generateKeyPair } from 'jose';
import { describe, expect, it } from 'vitest';
import { CLAIMS_HEADER } from '../../../gpu-pool/protocol/schemas.ts';
import { type FakeEdge, requestHeaders, requestId } from './fake-edge.ts';
import { generate, post, SALT, setUp, until } from './helpers.ts';
import { sendPromptPass } from './scripted-engine.ts';

const seconds = () => Math.floor(Date.now() / 1_000);
const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function refusesAll(
  agent: { url: string },
  edge: FakeEdge,
  calls: Record<string, Record<string, string>>,
): Promise<void> {
  for (const [name, token] of Object.entries(calls)) {
    const answer = await generate({ agent, edge }, { token });
    expect([name, answer.status, answer.error?.code]).toEqual([name, 401, 'unauthorized']);
    const aborted = await post(agent.url, '/v1/abort', token, {});
    expect([name, aborted.status]).toEqual([name, 401]);
  }
}

describe('request tokens', () => {
  it('refuses every token that is not for this node from this edge, before the request reaches the engine', async () => {
    const { agent, edge, engine } = await setUp();
    const other = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    const good = { iss: 'tollgate-edge', aud: 'node_test', exp: seconds() + 60 };
    // Only EdDSA is accepted, even for a key that the edge publishes.
    const es256 = await generateKeyPair('ES256');
    edge.extraKeys.push({ ...(await exportJWK(es256.publicKey)), kid: 'edge-2' });
    const secret = new TextEncoder().encode(JSON.stringify(edge.publicJwk));
    const known = await edge.sign();
    expect((await generate({ agent, edge }, { token: known })).done).toBe(true);
    const [head, , signature] = known.authorization!.split('.');
    const calls: Record<string, Record<string, string>> = {
      missing: requestHeaders(''),
      garbage: requestHeaders('a.b.c'),
      expired: await edge.sign({}, { iat: seconds() - 120, exp: seconds() - 60 }),
      'without expiry': await edge.sign({}, { exp: undefined }),
      'living for a day': await edge.sign({}, { exp: seconds() + 86_400 }),
      'for another node': await edge.sign({}, { aud: 'node_other' }),
      'for a list of nodes': await edge.sign({}, { aud: ['node_test', 'node_other'] }),
      'for nobody': await edge.sign({}, { aud: undefined }),
      'from another issuer': await edge.sign({}, { iss: 'somebody' }),
      'of another key': await edge.sign({}, {}, {}, other.privateKey),
      'alg none': requestHeaders(`${b64({ alg: 'none' })}.${b64(good)}.`),
      'HS256 with the public key': await edge.sign({}, {}, { alg: 'HS256' }, secret),
      'of another algorithm': await edge.sign({}, {}, { alg: 'ES256', kid: 'edge-2' }, es256.privateKey),
      'a known one with another life': {
        ...known,
        authorization: `${head}.${b64({ ...good, exp: seconds() + 120 })}.${signature}`,
      },
    };
    await refusesAll(agent, edge, calls);
    expect(engine.calls).toHaveLength(1);
    expect((await generate({ agent, edge })).done).toBe(true);
  });

  it('refuses claims that are missing or outside the protocol, even with a good token', async () => {
    const { agent, edge, engine } = await setUp();
    const { authorization } = await edge.sign();
    const raw = (header: string) => ({ authorization: authorization!, [CLAIMS_HEADER]: header });
    const calls: Record<string, Record<string, string>> = {
      missing: { authorization: authorization! },
      empty: raw(''),
      'no JSON': raw('{"sub":'),
      'no object': raw('["acct_1"]'),
      'two of them': raw('{}, {}'),
      'without an account': await edge.sign({ sub: undefined }),
      'without a request id': await edge.sign({ jti: undefined }),
      'with a request id that could be anything': await edge.sign({ jti: 'a b\nc"d' }),
      'without a model': await edge.sign({ model: undefined }),
      'without max_tokens': await edge.sign({ max_tokens: undefined }),
      'with zero max_tokens': await edge.sign({ max_tokens: 0 }),
      'with half a token': await edge.sign({ max_tokens: 0.5 }),
      'with a ticket that is a payload': await edge.sign({ ticket: 'x'.repeat(65) }),
    };
    await refusesAll(agent, edge, calls);
    expect(engine.calls).toHaveLength(0);
  });

  it('accepts many requests with one token, until it expires', async () => {
    let nowMs = Date.now();
    const { agent, edge } = await setUp({ now: () => nowMs });
    const { authorization } = await edge.sign();
    const again = async () => ({ ...(await edge.sign()), authorization: authorization! });
    for (let i = 0; i < 3; i++)
      expect((await generate({ agent, edge }, { token: await again() })).done).toBe(true);
    nowMs += 69_000;
    expect((await generate({ agent, edge }, { token: await again() })).done).toBe(true);
    nowMs += 3_000;
    expect((await generate({ agent, edge }, { token: await again() })).error?.code).toBe('unauthorized');
  });

  it('accepts a request id once, while it runs and after it has ended', async () => {
    const { agent, edge, engine } = await setUp();
    const token = await edge.sign({ jti: requestId() });
    const answers = await Promise.all([
      generate({ agent, edge }, { token }),
      generate({ agent, edge }, { token }),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
    const replayed = await generate({ agent, edge }, { token });
    expect([replayed.status, replayed.error?.code]).toEqual([400, 'bad_request']);
    expect(engine.calls).toHaveLength(1);
    await until(() => edge.receipts.length === 1);
  });
});

describe('the allow-list', () => {
  it('sends the engine exactly the protocol, clamped to the claim', async () => {
    const { agent, edge, engine } = await setUp({ engineKey: 'engine-secret' });
    const jti = requestId();
    const body = {
      messages: [{ role: 'user', content: 'hi', cache_salt: 'x', name: 'bob' }],
      max_tokens: 5_000,
      temperature: 0.6,
      top_p: 0.95,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      stop: ['END'],
      n: 1,
      seed: 7,
      logprobs: true,
      top_logprobs: 2,
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: 'auto',
      response_format: { type: 'text' },
      cache_salt: SALT,
      model: 'other:lora',
      rid: 'theirs',
      stream: false,
      stream_options: { include_usage: false },
      separate_reasoning: false,
      priority: 7,
      input_ids: [1],
      lora_path: '/etc/passwd',
      custom_logit_processor: 'code',
      return_hidden_states: true,
      bootstrap_host: '10.0.0.1',
      session_params: {},
      extra_key: 'theirs',
      top_k: 1,
    };
    const answer = await generate({ agent, edge }, { body, claims: { jti, max_tokens: 50 } });
    expect(answer.done).toBe(true);
    // `stop` is absent: the agent applies it to the answer itself.
    // The engine has made no tokens of the prompt, and takes the answer apart itself.
    const sent = engine.calls.find(({ req }) => req.url === '/v1/chat/completions');
    expect(sent?.body).toEqual({
      model: 'deepseek-ai/DeepSeek-R1-0528',
      messages: [{ role: 'user', content: 'hi', name: 'bob' }],
      max_tokens: 50,
      temperature: 0.6,
      top_p: 0.95,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      n: 1,
      top_k: 1,
      seed: 7,
      logprobs: true,
      top_logprobs: 2,
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: 'auto',
      response_format: { type: 'text' },
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      separate_reasoning: true,
      stream_reasoning: true,
      rid: jti,
      priority: 100,
      cache_salt: SALT,
    });
    for (const { req } of engine.calls) {
      expect(req.headers.authorization).toBe('Bearer engine-secret');
      expect(req.headers.connection).toBe('keep-alive');
    }
  });

  it('splits the claim between the choices', async () => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = ({ body, res }) => (body.stream ? res.writeHead(400).end() : sendPromptPass(res));
    await generate({ agent, edge }, { body: { ...BODY_N, n: 4 }, claims: { max_tokens: 50 } });
    expect(engine.calls.map(({ body }) => [body.n, body.max_tokens])).toEqual([
      [1, 1],
      [4, 12],
    ]);
  });

  it('refuses a body outside the protocol or above 8 MiB', async () => {
    const { agent, edge, engine } = await setUp();
    const huge = { ...BODY_N, messages: [{ role: 'user', content: 'x'.repeat(8 << 20) }] };
    for (const body of [{}, { ...BODY_N, cache_salt: 'short' }, { ...BODY_N, messages: [] }, 'text', huge]) {
      const answer = await generate({ agent, edge }, { body });
      expect([answer.status, answer.error?.code]).toEqual([400, 'bad_request']);
    }
    expect(engine.calls).toHaveLength(0);
  });
});

const BODY_N = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 100, cache_salt: SALT };
