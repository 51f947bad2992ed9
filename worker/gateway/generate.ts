/**
 * A request for an answer, in any dialect, from top to bottom: authenticate and read it, `serve` admits it, and `respond.ts`
 * has it forwarded, metered and settled while the client gets its answer.
 */
import type { Model } from '../db/catalogue.ts';
import { joinNames } from '../domain/unread-fields.ts';
import { config, type Env } from '../env.ts';
import { CAN_INFER, identify } from '../http/access.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import { readJsonObject } from '../http/read-body.ts';
import { type ApiContext, collectResponseHeaders, responseHeaders } from '../http/response-headers.ts';
import { describeError } from '../lib/describe-error.ts';
import { type AnswerHead, type Dialect, type DialectModelRequest, envelopeIn } from './dialects/dialect.ts';
import { errorBodyIn, errorResponseIn } from './dialects/error-response.ts';
import type { RequestHold } from './hold/request-hold.ts';
import { WalletHold } from './hold/wallet-hold.ts';
import { beginIdempotent } from './idempotency/idempotency.ts';
import type { IdempotentRun } from './idempotency/idempotent-run.ts';
import { Deadlines } from './node/deadlines.ts';
import { readRequest } from './read-request.ts';
import { type Handled, handled, type Reply, streamResponse, wholeResponse } from './respond.ts';
import { serve } from './serve.ts';
import type { TurnRequest } from './stored-responses/open.ts';
import type { OpenedTurn, Turn } from './stored-responses/turn.ts';
import { ClientDisconnect } from './stream/disconnect.ts';
import { StreamRecord } from './stream/stream-record.ts';

/** Reads what a body refers to from the store of responses (stored-responses/open.ts). */
export type OpenTurn = (env: Env, request: TurnRequest) => Promise<OpenedTurn>;

/**
 * The handler of the routes that speak a dialect.
 * @param openTurn null: the dialect's answers are not stored
 */
export function generate(loadDialect: () => Promise<Dialect>, openTurn: OpenTurn | null = null) {
  return async function generateIn(c: ApiContext): Promise<Response> {
    const dialect = await loadDialect();
    const request = await readAuthorized(c, dialect, { openTurn });
    if (!request.ok) return errorResponseIn(c, dialect, request.error);
    const { principal, dialectRequest, model, bytes } = request;

    const { headers } = c.req.raw;
    const requestId = c.get('requestId');
    const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
    const begun = await beginIdempotent(c.env, { headers, bytes, principal, requestId, waitUntil });
    if (begun.kind === 'error') return errorResponseIn(c, dialect, begun.error);
    if (begun.kind === 'replay') {
      const headers = { ...bodyHeadersFor(dialectRequest), ...endHeaders(model), ...responseHeaders(begun) };
      return new Response(begun.body, { headers: { ...headers, 'idempotent-replayed': 'true' } });
    }

    const responding = respond(c, dialect, request, begun.run);
    // A client that disconnects must not take the settlement with it.
    waitUntil(responding.then(({ done }) => done));
    return (await responding).response;
  };
}

export interface AuthorizedRequest {
  readonly ok: true;
  readonly principal: Principal;
  readonly dialectRequest: DialectModelRequest;
  readonly model: Model;
  readonly bytes: Uint8Array;
  /** the time of admission */
  readonly nowMs: number;
  /** null: the dialect stores no responses */
  readonly turn: Turn | null;
}

/** A body that was read this quickly needs no second look at its key; isolates cache keys for seconds anyway (http/authenticate.ts). */
const SAME_MOMENT_MS = 100;

/**
 * Steps 1 and 2: authenticates the caller and reads the body.
 * @param options.complete adds what the dialect demands and the route's own body may leave out
 * @param options.ended ends the conversation, what it refers to included, where the route takes any and the dialect does not
 */
export async function readAuthorized(
  c: ApiContext,
  dialect: Dialect,
  options: {
    openTurn: OpenTurn | null;
    complete?: (body: Record<string, unknown>) => Record<string, unknown>;
    ended?: (body: Record<string, unknown>) => Record<string, unknown>;
  },
): Promise<AuthorizedRequest | { ok: false; error: ApiError }> {
  const startedMs = Date.now();
  const caller = await identify(c, CAN_INFER, startedMs);
  if (!caller.ok) return caller;
  const { openTurn, complete = (whole) => whole, ended = (whole) => whole } = options;
  const received = await readJsonObject(c.req.raw);
  if (!received.ok) return received;
  const body = complete(received.body);
  // A body may take long to arrive: price, limits and the key itself are those of the time when it is complete.
  const nowMs = Date.now();
  const current = nowMs - startedMs < SAME_MOMENT_MS ? caller : await identify(c, CAN_INFER, nowMs);
  if (!current.ok) return current;
  const { headers } = c.req.raw;
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const { principal } = current;
  const opened = await openTurn?.(c.env, {
    ...{ body, principal, requestId: c.get('requestId'), nowMs, waitUntil },
  });
  if (opened?.ok === false) return opened;
  const read = await readRequest(c.env, dialect, {
    ...{ body: ended(opened?.body ?? body), headers, tariff: 'standard', nowMs, waitUntil },
    aliases: principal.aliases,
  });
  const turn = opened?.turn ?? null;
  if (!read.ok) return turn === null ? read : { ok: false, error: turn.ownError(read.error) };
  const { dialectRequest, model } = read;
  const authorized = { ok: true as const, principal, model, bytes: received.bytes, nowMs, turn };
  if (turn === null) return { ...authorized, dialectRequest };
  const ignored = joinNames(dialectRequest.request.ignored, turn.ignored);
  return {
    ...authorized,
    dialectRequest: { ...dialectRequest, request: { ...dialectRequest.request, ignored } },
  };
}

/** Steps 3 to 7, and the response: an error has its own status as long as nothing of an answer has left. */
async function respond(
  c: ApiContext,
  dialect: Dialect,
  { principal, dialectRequest, model, nowMs, turn }: AuthorizedRequest,
  run: IdempotentRun,
): Promise<Handled> {
  const { env } = c;
  const requestId = c.get('requestId');
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const refuseAndAbandon = async (error: ApiError) => {
    await run.abandon();
    return handled(errorResponseIn(c, dialect, error));
  };
  // Until admission returns, the Wallet may have made a hold whose reply was lost.
  let hold: RequestHold = new WalletHold(env, { requestId, accountId: principal.accountId });
  try {
    const disconnect = new ClientDisconnect();
    const deadlines = new Deadlines();
    const { ignored } = dialectRequest.request;
    const { id: modelId, revision } = model;
    const head: AnswerHead = { requestId, createdAtMs: nowMs, modelId, revision, ignored, turn: turn?.head };
    const served = await serve(env, {
      ...{ principal, dialectRequest, head, model, nowMs, disconnect, deadlines, waitUntil },
      tariff: 'standard',
      isKeyed: c.req.raw.headers.has('idempotency-key'),
    });
    if (served.rateLimit) c.set('rateLimit', served.rateLimit);
    if (!served.ok) return await refuseAndAbandon(served.error);
    const { context } = served;
    hold = served.hold;

    const reply: Reply = {
      deadline: deadlines.newDeadline(),
      // Listening to the runtime costs as much CPU as answering from an idle node, so it begins only when the client waits.
      onWaiting: () => disconnect.follow(c.req.raw.signal),
      headers: async () => ({
        ...(await collectResponseHeaders(c)),
        ...bodyHeadersFor(dialectRequest),
        ...endHeaders(model),
      }),
      refuse: refuseAndAbandon,
    };
    const keep = turn?.keep ?? null;
    const { recorder } = run;
    if (!dialectRequest.request.stream) {
      const errorBody = (error: ApiError) => errorBodyIn(c, dialect, error);
      return await wholeResponse({ ...context, recorder, keep, errorBody }, reply);
    }
    const record = new StreamRecord(context.format, recorder);
    const publicError = (error: ApiError) => envelopeIn(dialect, error, config(env).publicOrigin).error;
    return await streamResponse({ ...context, record, keep, publicError }, reply);
  } catch (error) {
    console.error(JSON.stringify({ event: 'request_failed', requestId, error: describeError(error) }));
    await hold.void(null);
    await run.abandon().catch(() => undefined);
    return handled(errorResponseIn(c, dialect, { reason: 'internal' }));
  }
}

/** An announced end: RFC 9745 and RFC 8594, which HTTP clients know to log. */
function endHeaders({ endsAtMs, endAnnouncedAtMs, successorId }: Model): Record<string, string> {
  if (endsAtMs === null) return {};
  return {
    deprecation: `@${Math.floor((endAnnouncedAtMs ?? endsAtMs) / 1_000)}`,
    sunset: new Date(endsAtMs).toUTCString(),
    ...(successorId !== null && { 'x-tollgate-successor': successorId }),
  };
}

/** `no-transform` and `identity`: compression on the way would hold events and blank lines back until a block is full. */
const UNBUFFERED = { 'cache-control': 'no-store, no-transform', 'content-encoding': 'identity' };
const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8', ...UNBUFFERED };
const JSON_BODY = { 'content-type': 'application/json', ...UNBUFFERED };

function bodyHeadersFor({ request: { stream, ignored } }: DialectModelRequest) {
  const headers = stream ? EVENT_STREAM : JSON_BODY;
  return ignored.length === 0 ? headers : { ...headers, 'x-tollgate-ignored': ignored.join(', ') };
}
