/** The operator API, for automation and for appointing the first operator. People use the portal's console instead. */
import { Hono } from 'hono';
import * as z from 'zod';
import { Hardware } from '../../gpu-pool/protocol/schemas.ts';
import { auditArchivePage } from '../archive/archive-audit.ts';
import { GrantRequest, grantCredit } from '../billing/grants.ts';
import { auditLedgerPage } from '../billing/ledger-audit.ts';
import { listAccountIds } from '../db/accounts.ts';
import { latestCanaryAttempts } from '../db/canary.ts';
import { database } from '../db/client.ts';
import { findExistingAccounts } from '../db/existing-accounts.ts';
import { modelExists, type NodeRow } from '../db/nodes.ts';
import { makeOperator } from '../db/operators.ts';
import { ARCHIVE_KINDS } from '../domain/archive-kinds.ts';
import type { CanaryAttempt } from '../domain/canary.ts';
import { isId } from '../domain/ids.ts';
import { NODE_ACTIONS, type NodeAction } from '../domain/node.ts';
import { config, type Env } from '../env.ts';
import { changeNode, createJoinToken, listAudit, listNodes, NODE_NAME } from '../fleet/nodes.ts';
import { errorResponse } from '../http/api-error.ts';
import { limitBody, parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { limitWrites } from '../http/write-limit.ts';
import { accountsApi } from './accounts.ts';
import { modelEndsApi } from './model-ends.ts';
import { modelsApi } from './models.ts';
import { peopleApi } from './people.ts';
import { pricesApi } from './prices.ts';
import { promoCodesApi } from './promo-codes.ts';
import { reconciliationApi } from './reconciliation.ts';
import { referencePricesApi } from './reference-prices.ts';
import { secretsApi } from './secrets.ts';
import { type OperatorEnv, operatorsOnly } from './token.ts';
import { tokensApi } from './tokens.ts';

const JoinTokenRequest = z.object({
  name: z.string().regex(NODE_NAME, 'must be 1 to 63 letters, digits, spaces, dots, dashes or underscores'),
  model: z.string().max(128),
  hardware: Hardware,
});
/** Where the audit of an account's ledger stands: AuditCursor of domain/ledger-audit.ts. */
const Cursor = z.object({
  seq: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  balanceNanoUsd: z.int(),
  grantedNanoUsd: z.int(),
});
/** Where the audit of an account's archive stands: ArchiveMark of archive/archive-audit.ts. */
const ArchiveCursor = z.union([
  z.object({ kind: z.enum(ARCHIVE_KINDS), seq: z.int().min(0), hash: z.string().max(64).nullable() }),
  z.object({ kind: z.literal('hours'), fromMs: z.int().min(0) }),
]);
const OperatorRequest = z.object({ email: z.email().max(254) });
const AUDIT_ROWS_MAX = 1_000;
/** The largest body is a model's: a profile of 12 KiB, 16 aliases and 16 paths are 19 KiB, and three times that with indents or escapes. */
const BODY_BYTES_MAX = 64 * 1024;

export const operator = new Hono<OperatorEnv>();

operator.use(
  operatorsOnly,
  limitWrites('change_operator', (c) => c.get('actor')),
  limitBody(BODY_BYTES_MAX),
);

operator.post('/join-tokens', async (c) => {
  const body = await parseBody(c, JoinTokenRequest);
  if (body instanceof Response) return body;
  if (!(await modelExists(database(c.env), body.model)))
    return refuse(c, 'model_not_found', { param: 'model' });
  const { token, expiresAtMs } = await createJoinToken(c.env, {
    name: body.name,
    modelId: body.model,
    hardware: body.hardware,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  return c.json({ token, expires_at_ms: expiresAtMs }, 201);
});

operator.get('/nodes', async (c) => {
  const db = database(c.env);
  const [nodes, attempts] = await Promise.all([listNodes(db), latestCanaryAttempts(db, Date.now())]);
  return c.json({ nodes: nodes.map((node) => toPublicNode(node, attempts.get(node.id))) });
});

operator.post(`/nodes/:id/:verb{${NODE_ACTIONS.join('|')}}`, async (c) => {
  const nodeId = c.req.param('id');
  const action = c.req.param('verb') as NodeAction;
  const state = await changeNode(c.env, { nodeId, action, actor: c.get('actor'), nowMs: Date.now() });
  return state === null ? refuse(c, 'node_not_found') : c.json({ id: nodeId, state });
});

operator.post('/operators', async (c) => {
  const body = await parseBody(c, OperatorRequest);
  if (body instanceof Response) return body;
  const personId = await makeOperator(database(c.env), {
    email: body.email,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  return personId
    ? c.json({ id: personId, role: 'operator' })
    : refuse(c, 'person_not_found', { param: 'email' });
});

operator.post('/accounts/:id/grants', async (c) => {
  const body = await parseBody(c, GrantRequest);
  if (body instanceof Response) return body;
  const accountId = c.req.param('id');
  const result = await grantCredit(c.env, {
    accountId,
    grant: body,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  if (!result.ok) return refuse(c, result.reason);
  return c.json(result.granted, 201);
});

operator.post('/accounts/:id/books', async (c) => {
  const body = await parseBody(c, Cursor);
  if (body instanceof Response) return body;
  const accountId = c.req.param('id');
  const known = await isKnownAccount(c.env, accountId);
  return known ? c.json(await auditLedgerPage(c.env, accountId, body)) : refuse(c, 'account_not_found');
});

operator.post('/accounts/:id/archive', async (c) => {
  const body = await parseBody(c, ArchiveCursor);
  if (body instanceof Response) return body;
  const accountId = c.req.param('id');
  const known = await isKnownAccount(c.env, accountId);
  return known ? c.json(await auditArchivePage(c.env, accountId, body)) : refuse(c, 'account_not_found');
});

async function isKnownAccount(env: Env, accountId: string): Promise<boolean> {
  return isId('acct', accountId) && (await findExistingAccounts(database(env), [accountId])).length > 0;
}

operator.get('/accounts', async (c) => {
  const after = c.req.query('after') ?? '';
  return c.json({ accounts: await listAccountIds(database(c.env), after) });
});

operator.get('/audit', async (c) => {
  const limit = Math.trunc(Number(c.req.query('limit') ?? 100));
  const rows = await listAudit(database(c.env), Math.min(Math.max(limit || 100, 1), AUDIT_ROWS_MAX));
  return c.json({
    audit: rows.map(({ id, atMs, accountId, ...row }) => ({
      id,
      at_ms: atMs,
      account_id: accountId,
      ...row,
    })),
  });
});

operator.route('/prices', pricesApi);
operator.route('/reference-prices', referencePricesApi);
operator.route('/models', modelsApi);
operator.route('/models', modelEndsApi);
operator.route('/secrets', secretsApi);
operator.route('/tokens', tokensApi);
operator.route('/promo-codes', promoCodesApi);
operator.route('/reconciliation', reconciliationApi);
operator.route('/accounts', accountsApi);
operator.route('/people', peopleApi);

// last: a program made the call, so an unknown path gets an error of the API and not the portal's page
operator.all('*', (c) => errorResponse({ reason: 'route_not_found' }, config(c.env).publicOrigin));

function toPublicNode(node: NodeRow, canary: CanaryAttempt | undefined) {
  return {
    id: node.id,
    name: node.name,
    model: node.modelId,
    hardware: node.hardware,
    url: node.url,
    capacity: node.capacity,
    engine_version: node.engineVersion,
    weight_version: node.weightVersion,
    state: node.state,
    enrolled_at_ms: node.enrolledAtMs,
    canary: canary ? { at_ms: canary.atMs, fault: canary.fault, passed_at_ms: canary.passedAtMs } : null,
  };
}
