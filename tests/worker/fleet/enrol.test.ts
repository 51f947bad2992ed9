/** Enrolment of nodes by join token. */
import { decodeJwt } from 'jose';
import { describe, expect, it } from 'vitest';
import { ENROL_PATH, type EnrolReply } from '../../../gpu-pool/protocol/schemas.ts';
import { database } from '../../../worker/db/client.ts';
import { isId } from '../../../worker/domain/ids.ts';
import { config } from '../../../worker/env.ts';
import { listNodes } from '../../../worker/fleet/nodes.ts';
import { signJoinToken } from '../../../worker/tokens/join-token.ts';
import { auditOf, enrolBody, env, newJoinToken, newTestNode, postJson, R1, R1_PATH } from './fixtures.ts';

async function nodesOf(joinToken: string) {
  const suffix = decodeJwt(joinToken).jti?.slice(5);
  return (await listNodes(database(env))).filter((node) => node.id === `node_${suffix}`);
}

async function errorOf(response: Response) {
  const { error } = await response.json<{ error: { code: string; param: string | null; message: string } }>();
  return { status: response.status, ...error };
}

describe('enrolment', () => {
  it('registers a node from the token and the agent’s call', async () => {
    const agent = await newTestNode();
    const token = await newJoinToken();
    const response = await postJson(
      ENROL_PATH,
      enrolBody(agent, token, { url: 'https://GPU-1.example.com:443/' }),
    );
    expect(response.status).toBe(201);
    const reply = await response.json<EnrolReply>();
    expect(isId('node', reply.node_id)).toBe(true);
    expect(reply).toEqual({
      node_id: reply.node_id,
      name: 'gpu-1',
      model: R1,
      hardware: '8xmi300x',
      model_paths: [R1_PATH],
      sold: {
        version: expect.stringMatching(/^[\da-f]{16}$/),
        profile: expect.objectContaining({ repository: R1_PATH }),
        context_tokens: 131_072,
        output_tokens_max: 65_536,
      },
    });
    expect(await nodesOf(token)).toMatchObject([
      {
        id: reply.node_id,
        url: 'https://gpu-1.example.com',
        publicKey: agent.publicX,
        capacity: 1_730,
        state: 'canary',
        engineVersion: '0.5.20',
      },
    ]);
    expect(await auditOf(reply.node_id)).toMatchObject([
      { action: 'node.enrolled', actor: `node:${reply.node_id}` },
    ]);
  });

  it('enrols one node, however many race for one token', async () => {
    const token = await newJoinToken();
    const agents = await Promise.all(Array.from({ length: 12 }, newTestNode));
    const responses = await Promise.all(agents.map((agent) => postJson(ENROL_PATH, enrolBody(agent, token))));
    const statuses = responses.map((response) => response.status).sort();
    expect(statuses).toEqual([201, ...Array(11).fill(409)]);
    const winner = agents[responses.findIndex((response) => response.status === 201)]!;
    const nodes = await nodesOf(token);
    expect(nodes.map((node) => node.publicKey)).toEqual([winner.publicX]);
    expect(await auditOf(nodes[0]!.id)).toHaveLength(1);
  });

  it('gives an agent whose reply was lost the same reply again, and adds nothing', async () => {
    const agent = await newTestNode();
    const token = await newJoinToken();
    const first = await postJson(ENROL_PATH, enrolBody(agent, token));
    const again = await postJson(
      ENROL_PATH,
      enrolBody(agent, token, { url: 'https://elsewhere.example.com' }),
    );
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual(await first.json());
    const nodes = await nodesOf(token);
    expect(nodes).toMatchObject([{ url: 'https://gpu-1.example.com:8443' }]);
    expect(await auditOf(nodes[0]!.id)).toHaveLength(1);
  });

  it('refuses a stolen token that was used before', async () => {
    const token = await newJoinToken();
    await postJson(ENROL_PATH, enrolBody(await newTestNode(), token));
    const stolen = await postJson(ENROL_PATH, enrolBody(await newTestNode(), token));
    expect(await errorOf(stolen)).toMatchObject({
      status: 409,
      code: 'join_token_used',
      param: 'join_token',
    });
  });

  it('refuses an expired token, by its claim and by its row', async () => {
    const token = await newJoinToken();
    const { jti } = decodeJwt(token);
    const nowMs = Date.now();
    const expired = await signJoinToken(
      config(env),
      { jti: jti!, edge: 'https://tollgate.test', name: 'gpu-1', model: R1, hardware: '8xmi300x' },
      { nowMs: nowMs - 20_000, expiresAtMs: nowMs - 10_000 },
    );
    const byClaim = await postJson(ENROL_PATH, enrolBody(await newTestNode(), expired));
    expect(await errorOf(byClaim)).toMatchObject({ status: 401, code: 'join_token_invalid' });

    await env.DB.prepare('update join_token set expires_at_ms = ? where id = ?')
      .bind(nowMs - 1, jti)
      .run();
    const byRow = await postJson(ENROL_PATH, enrolBody(await newTestNode(), token));
    expect(byRow.status).toBe(409);
    expect(await nodesOf(token)).toEqual([]);
  });

  it('refuses a token without a row, and one that was changed', async () => {
    const times = { nowMs: Date.now(), expiresAtMs: Date.now() + 60_000 };
    const claims = { edge: 'https://tollgate.test', name: 'x', model: R1, hardware: '8xh200' } as const;
    const unknown = await signJoinToken(config(env), { ...claims, jti: 'join_nowhere' }, times);
    const token = await newJoinToken();
    for (const bad of [unknown, `${token.slice(0, -4)}AAAA`, 'x.y.z', '']) {
      const response = await postJson(ENROL_PATH, enrolBody(await newTestNode(), bad));
      expect(await errorOf(response)).toMatchObject({ status: 401, code: 'join_token_invalid' });
    }
  });

  it('checks weights, address and key before the token is used', async () => {
    const agent = await newTestNode();
    const token = await newJoinToken();
    const engine = { version: '1', model_path: 'deepseek-ai/DeepSeek-V3-0324', weight_version: 'x' };
    const wrongWeights = await postJson(ENROL_PATH, enrolBody(agent, token, { engine }));
    expect(await errorOf(wrongWeights)).toMatchObject({
      status: 400,
      code: 'model_path_not_accepted',
      param: 'engine.model_path',
      message: expect.stringContaining(R1_PATH),
    });
    const inside = await postJson(ENROL_PATH, enrolBody(agent, token, { url: 'https://169.254.169.254' }));
    expect(await errorOf(inside)).toMatchObject({
      status: 400,
      code: 'node_url_refused',
      message: expect.stringContaining('private_address'),
    });
    const notKey = { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' };
    const noKey = await postJson(ENROL_PATH, enrolBody(agent, token, { public_key: notKey }));
    expect(await errorOf(noKey)).toMatchObject({ status: 400, code: 'public_key_invalid' });
    expect(await nodesOf(token)).toEqual([]);

    expect((await postJson(ENROL_PATH, enrolBody(agent, token))).status).toBe(201);
  });

  it('takes plain http on loopback in development and nowhere else', async () => {
    const agent = await newTestNode();
    const token = await newJoinToken();
    const body = enrolBody(agent, token, { url: 'http://127.0.0.1:30001' });
    const production = { ...env, ENVIRONMENT: 'production' };
    expect((await postJson(ENROL_PATH, body, {}, production)).status).toBe(400);
    expect((await postJson(ENROL_PATH, body)).status).toBe(201);
  });

  it('refuses bodies that are too large or outside the protocol', async () => {
    const large = await postJson(ENROL_PATH, { join_token: 'x'.repeat(20_000) });
    expect(await errorOf(large)).toMatchObject({ status: 413, code: 'body_too_large' });
    const partial = await postJson(ENROL_PATH, { join_token: 'x' });
    expect(await errorOf(partial)).toMatchObject({ status: 400, code: 'body_invalid', param: 'url' });
    const noJson = await postJson(ENROL_PATH, undefined);
    expect(await errorOf(noJson)).toMatchObject({ status: 400, code: 'body_invalid', param: null });
  });
});
