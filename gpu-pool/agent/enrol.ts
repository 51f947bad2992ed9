/** Enrolment: a join token, used once, becomes a node id bound to a key pair that is generated here. */
import { decodeJwt, exportJWK, generateKeyPair } from 'jose';
import * as z from 'zod';
import { ENROL_PATH, EnrolReply, type EnrolRequest, SoldModel } from '../protocol/schemas.ts';
import { type NodeState, writeNodeState } from './node-state.ts';
import type { EngineInfo } from './sglang/probe.ts';
import { printable, StartRefused } from './start-refused.ts';

const ENROL_TIMEOUT_MS = 15_000;

/** Enrols the node and stores its state in `stateDir`. `url` is the agent's own address. */
export async function join(options: {
  joinToken?: string | undefined;
  edgeUrl?: string | undefined;
  publicUrl?: string | undefined;
  stateDir: string;
  url: string;
  engine: EngineInfo;
}): Promise<NodeState> {
  const { joinToken, edgeUrl, publicUrl, stateDir, url, engine } = options;
  if (joinToken === undefined) {
    throw new StartRefused(
      'join_token_missing',
      'This node has not enrolled yet: create a join token and pass it as TOLLGATE_JOIN_TOKEN or --join.',
    );
  }
  const edge = edgeUrl ?? edgeOfJoinToken(joinToken);
  if (edge === null || !URL.canParse(edge)) {
    throw new StartRefused('bad_option', 'The join token contains no edge URL: pass it with --edge.');
  }
  const node = await enrol({
    edgeUrl: edge,
    joinToken,
    url: publicUrl ?? url,
    listen: new URL(url).host,
    engine,
  });
  await writeNodeState(stateDir, node);
  return node;
}

/** The edge that a join token names in its `edge` claim; null where it names none. */
export function edgeOfJoinToken(joinToken: string): string | null {
  try {
    const { edge } = decodeJwt(joinToken);
    return typeof edge === 'string' && URL.canParse(edge) ? edge : null;
  } catch {
    return null;
  }
}

async function enrol(options: {
  edgeUrl: string;
  joinToken: string;
  url: string;
  listen: string;
  engine: EngineInfo;
}): Promise<NodeState> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const [publicJwk, privateJwk] = await Promise.all([exportJWK(publicKey), exportJWK(privateKey)]);
  const request: EnrolRequest = {
    join_token: options.joinToken,
    url: options.url,
    public_key: { kty: 'OKP', crv: 'Ed25519', x: publicJwk.x ?? '' },
    engine: options.engine,
  };
  const reply = await postEnrolment(options.edgeUrl, request);
  return {
    node_id: reply.node_id,
    name: reply.name,
    model: reply.model,
    model_paths: reply.model_paths,
    sold: SoldModel.safeParse(reply.sold).data,
    edge_url: options.edgeUrl,
    url: options.url,
    listen: options.listen,
    private_key: { kty: 'OKP', crv: 'Ed25519', x: privateJwk.x ?? '', d: privateJwk.d ?? '' },
  };
}

async function postEnrolment(edgeUrl: string, request: EnrolRequest): Promise<EnrolReply> {
  const response = await fetch(new URL(ENROL_PATH, edgeUrl), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    redirect: 'manual',
    signal: AbortSignal.timeout(ENROL_TIMEOUT_MS),
  }).catch(() => null);
  if (response === null) {
    throw new StartRefused(
      'edge_unreachable',
      `The edge at ${edgeUrl} cannot be reached: check --edge and the network.`,
    );
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new StartRefused('enrol_refused', enrolErrorMessage(response.status, body));
  const reply = EnrolReply.safeParse(body);
  if (reply.success) return reply.data;
  throw new StartRefused(
    'enrol_refused',
    `${edgeUrl} is not a Tollgate edge of a compatible version: check --edge.`,
  );
}

const ErrorEnvelope = z.object({ error: z.object({ message: z.string() }) });

function enrolErrorMessage(status: number, body: unknown): string {
  const envelope = ErrorEnvelope.safeParse(body);
  const reason = envelope.success
    ? printable(envelope.data.error.message, 300).replace(/\.?\s*$/, '')
    : `HTTP status ${status}`;
  const advice =
    status === 401 || status === 403 || status === 409
      ? 'create a new join token (each works once and expires) and pass it with --join'
      : 'correct this and start the agent again';
  return `The edge refused to enrol this node (${reason}): ${advice}.`;
}
