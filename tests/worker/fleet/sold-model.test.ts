/** The model as it is sold, as join tokens and heartbeats are told. */
import { decodeJwt } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import r1 from '../../../gpu-pool/models/deepseek-r1-0528.json';
import r1Zero from '../../../gpu-pool/models/deepseek-r1-zero.json';
import v3 from '../../../gpu-pool/models/deepseek-v3-0324.json';
import {
  ENROL_PATH,
  type EnrolReply,
  type HeartbeatReply,
  JOINED_MODEL_PATH,
  JoinedModel,
  SoldModel,
} from '../../../gpu-pool/protocol/schemas.ts';
import { forgetNode } from '../../../worker/fleet/node-auth.ts';
import {
  enrolBody,
  enrolledNode,
  env,
  heartbeat,
  newJoinToken,
  newTestNode,
  postJson,
  R1,
  R1_PATH,
  sendHeartbeat,
  server,
} from './fixtures.ts';

async function soldIn(response: Response): Promise<SoldModel | undefined> {
  const { sold } = await response.json<HeartbeatReply>();
  return sold === undefined ? undefined : SoldModel.parse(sold);
}

const readModel = (authorization?: string) =>
  server.request(JOINED_MODEL_PATH, authorization === undefined ? {} : { headers: { authorization } }, env);

it('a heartbeat gets it unless the agent holds this version', async () => {
  const node = await enrolledNode();
  const first = await soldIn(await sendHeartbeat(node, heartbeat()));
  expect(first).toMatchObject({ profile: { repository: R1_PATH }, context_tokens: 131_072 });
  const held = { sold_version: first!.version };
  expect(await soldIn(await sendHeartbeat(node, heartbeat(held)))).toBeUndefined();
  expect((await soldIn(await sendHeartbeat(node, heartbeat({ sold_version: 'older' }))))?.version).toBe(
    first!.version,
  );

  const sell = (tokens: number) =>
    env.DB.prepare('update model set context_tokens = ? where id = ?').bind(tokens, R1).run();
  await sell(65_536);
  onTestFinished(async () => void (await sell(131_072)));
  forgetNode(node.id);
  const changed = await soldIn(await sendHeartbeat(node, heartbeat(held)));
  expect(changed?.context_tokens).toBe(65_536);
  expect(changed?.version).not.toBe(first!.version);
});

it('a join token reads it without being used up', async () => {
  const token = await newJoinToken();
  for (const _ of [1, 2]) {
    const response = await readModel(`Bearer ${token}`);
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const joined = JoinedModel.parse(await response.json());
    expect(joined).toMatchObject({ model: R1, hardware: '8xmi300x', sold: { context_tokens: 131_072 } });
  }
  const enrolled = await postJson(ENROL_PATH, enrolBody(await newTestNode(), token));
  expect(enrolled.status).toBe(201);
  const { sold } = await enrolled.json<EnrolReply>();
  const { sold: read } = JoinedModel.parse(await (await readModel(`Bearer ${token}`)).json());
  expect(sold).toEqual(read);
});

it('the models for sale have the profiles that are shipped', async () => {
  const { results } = await env.DB.prepare('select id, profile from model').all<{
    id: string;
    profile: string;
  }>();
  const stored = Object.fromEntries(results.map(({ id, profile }) => [id, JSON.parse(profile)]));
  expect(stored).toEqual({ 'deepseek-r1-0528': r1, 'deepseek-r1-zero': r1Zero, 'deepseek-v3-0324': v3 });
});

it('nobody else reads it', async () => {
  const token = await newJoinToken();
  const gone = await newJoinToken();
  await env.DB.prepare('delete from join_token where id = ?').bind(decodeJwt(gone).jti).run();
  for (const header of [undefined, '', 'Bearer', 'Bearer x.y.z', `Basic ${token}`, `Bearer ${gone}`]) {
    const response = await readModel(header);
    expect([header, response.status]).toEqual([header, 401]);
    expect(await response.json()).toMatchObject({ error: { code: 'join_token_invalid' } });
  }
});
