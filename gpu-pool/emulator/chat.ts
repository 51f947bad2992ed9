/**
 * Handles `/v1/chat/completions` and `/v1/completions`: apply faults, read the body, plan the output, submit it to
 * the engine, then stream or collect the answer.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { type Answer, CollectedAnswer, StreamedAnswer } from './answer.ts';
import { AnswerWriter } from './answer-writer.ts';
import { ChatStreamFormat, chatBody } from './chat-format.ts';
import { contextError, looksForThought, promptTokens, reasons, type Thinking } from './context.ts';
import type { Engine } from './engine.ts';
import type { TokenCounts } from './engine-request.ts';
import type { FaultBoard, FaultSet } from './faults.ts';
import { readJson } from './http.ts';
import { type Envelope, flatError } from './openai-shape.ts';
import { type ChoicePlan, planChoice, type Script } from './plan.ts';
import { type Asked, queueFull, refuse } from './refuse.ts';
import type { ReleaseTraits } from './release.ts';
import { type ChatRequest, type ParsedRequest, parseChatRequest, parseTextRequest } from './request.ts';
import type { RequestSeeds } from './request-seeds.ts';
import { formatFault } from './schema-check.ts';
import type { AnswerQueue } from './scripted-answers.ts';
import { TextStreamFormat, textBody } from './text-format.ts';
import type { TokenPrompts } from './token-prompts.ts';
import { THINK_END } from './tokenizer.ts';

export interface ChatContext {
  engine: Engine;
  faults: FaultBoard;
  seed: number;
  modelPath: string;
  weightVersion: string;
  cacheReport: boolean;
  thinking: Thinking;
  reasoningParser: string | null;
  toolCallParser: string | null;
  traits: ReleaseTraits;
  script?: Script;
  answers: AnswerQueue;
  prompts: TokenPrompts;
  /** `custom_params.thinking_budget` counts; else it is ignored, with a 200. */
  keepsBudgets: boolean;
  /** Tokens of prompt and answer together. */
  contextLength: number;
  /** The effect of a request's own seed on its answer. */
  seeds: RequestSeeds;
  /** Keeps each request that arrived, for tests. */
  record(entry: { rid: string; body: unknown }): void;
}

const EVICTED = 'The request is aborted by a higher priority request.';

type Route = (context: ChatContext, req: IncomingMessage, res: ServerResponse) => Promise<void>;

export const chatCompletions: Route = (context, req, res) => complete(parseChatRequest, context, req, res);
export const textCompletions: Route = (context, req, res) => complete(parseTextRequest, context, req, res);

async function complete(
  parse: (body: unknown) => ParsedRequest,
  context: ChatContext,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const faults = context.faults.takeForChat();
  const writer = new AnswerWriter(res, faults);
  const body = await readJson(req);
  const parsed = parse(body);
  const rid = (parsed.ok ? parsed.request.rid : null) ?? randomUUID().replaceAll('-', '');
  context.record({ rid, body });
  if (faults.kinds.length > 0) context.engine.logFaults(rid, faults.kinds);
  if (
    strikesBeforeWork(faults, {
      writer,
      res,
      asked: parsed.ok ? { request: parsed.request, rid, usage: context } : undefined,
    })
  )
    return;
  if (!parsed.ok) return writer.json(400, flatError({ ...parsed, code: 400 }));

  const request = context.prompts.withPrompt(parsed.request, context.toolCallParser);
  const asked = { request, rid, usage: context };
  const waitMs = context.answers.waitMsOf(request);
  if (waitMs > 0) await setTimeout(waitMs);
  const prompt = promptTokens(request, context);
  const { contextLength } = context;
  const refused = contextError(prompt.length, { maxTokens: request.maxTokens, contextLength });
  if (refused) return refuse(writer, refused, asked);
  const bounded = { ...request, maxTokens: Math.min(request.maxTokens, contextLength - prompt.length) };
  const choices = plansOf(context, bounded, prompt);
  if (context.reasoningParser === null || !looksForThought(request, context)) choices.forEach(countAsAnswer);
  else if (faults.has('answer_in_reasoning')) choices.forEach(loseEndTag);

  const { responseFormat } = request;
  const grammarFault = responseFormat.type === 'json_schema' ? formatFault(responseFormat.schema) : null;
  // The scheduler finds out (grammar_manager.py).
  const failed = { message: `Failed to compile json grammar: ${grammarFault}`, by: 'scheduler' } as const;
  if (grammarFault) return refuse(writer, failed, asked);

  // Of several choices each is a request of its own with a fresh id (tokenizer_manager.py, `regenerate_rid`).
  const choiceIds = request.n === 1 ? [rid] : choices.map(() => randomUUID().replaceAll('-', ''));
  const envelope: Envelope = {
    ids: choiceIds,
    created: Math.floor(Date.now() / 1_000),
    model: request.model,
  };
  const answer = answerFor(context, { request, envelope, writer, faults });
  const verdict = context.engine.submit({
    rid,
    choiceIds,
    cacheKey: request.cacheKey,
    prompt,
    choices,
    maxTokens: bounded.maxTokens,
    streaming: request.stream,
    priority: request.priority,
    ignoreAbort: faults.has('ignore_abort'),
    onToken: (choice, token, counts, finish) => answer.token(choice, token, counts, finish),
    onEnd: (finishes, counts: TokenCounts) => answer.end(finishes, counts),
    onEvicted: () => queueFull(writer, { message: EVICTED, asked }),
  });
  if (verdict === 'queue_full') return queueFull(writer, { asked });
  if (verdict === 'duplicate_rid') {
    const message = `Duplicate request ID detected: ${rid}`;
    return writer.json(400, flatError({ message, type: 'BadRequestError', code: 400 }));
  }
  res.on('close', () => {
    if (res.writableFinished) return;
    // A node that died has stopped at once; a client's disconnect may be noticed only later.
    if (faults.has('die_mid_stream')) for (const id of choiceIds) context.engine.abort({ rid: id });
    else context.engine.clientDisconnected(rid);
  });
}

function plansOf(context: ChatContext, request: ChatRequest, promptTokens: string[]): ChoicePlan[] {
  const { script, keepsBudgets } = context;
  const seed = `${context.seed}|${context.seeds.of(request)}`;
  // A thought that was closed is not opened again.
  const reasoning = reasons(request, context) && !(request.continued ?? '').includes(THINK_END);
  const budget = keepsBudgets ? request.thinkingBudget : null;
  return Array.from({ length: request.n }, (_, choice) =>
    planChoice(request, { seed, choice, promptTokens, reasoning, budget, script }),
  );
}

function answerFor(
  context: ChatContext,
  {
    request,
    envelope,
    writer,
    faults,
  }: { request: ChatRequest; envelope: Envelope; writer: AnswerWriter; faults: FaultSet },
): Answer {
  const { cacheReport, traits } = context;
  const parsers = {
    reasoning: context.reasoningParser !== null && looksForThought(request, context),
    tools: context.toolCallParser !== null,
    callsNumberedByTool: traits.callsNumberedByTool,
  };
  const options = { request, envelope, writer, cacheReport, traits, parsers };
  if (faults.has('error_500_after_work')) {
    const error = flatError({
      message: 'Internal server error: CUDA error: an illegal memory access was encountered',
      type: 'InternalServerError',
      code: 500,
    });
    return { token() {}, end: () => writer.json(500, error) };
  }
  const isText = request.text !== null;
  if (request.stream) {
    return new StreamedAnswer(
      options,
      isText ? new TextStreamFormat(options) : new ChatStreamFormat(options),
    );
  }
  return new CollectedAnswer(options, isText ? textBody(options, context) : chatBody(options, context));
}

/** Applies the faults for which the engine never sees the request; true when one has struck. */
function strikesBeforeWork(
  faults: FaultSet,
  { writer, res, asked }: { writer: AnswerWriter; res: ServerResponse; asked: Asked | undefined },
): boolean {
  const tooMany = faults.get('status_429');
  if (faults.has('reset_before_headers')) res.socket?.resetAndDestroy();
  else if (faults.has('hang')) return true;
  else if (faults.has('empty_200')) {
    writer.openStream();
    // The headers must be out before the connection dies, or the caller would see a reset instead.
    setImmediate(() => res.destroy());
  } else if (tooMany) {
    const error = flatError({ message: 'Too many requests.', type: '429', code: 429 });
    writer.json(429, error, { 'retry-after': String(tooMany.retryAfterSeconds) });
  } else if (faults.has('status_503')) {
    writer.json(503, flatError({ message: 'Service unavailable.', type: '503', code: 503 }));
  } else if (faults.has('queue_full_200')) queueFull(writer, { asked });
  else if (faults.has('html_200')) {
    writer.html(200, '<!doctype html><title>nginx</title><h1>It works</h1>');
  } else return false;
  return true;
}

/**
 * Without a parser the engine does not know where reasoning ends, and counts no reasoning tokens
 * (batch_result_processor.py).
 */
function countAsAnswer(plan: ChoicePlan): void {
  plan.tokens = plan.tokens.map((token) => ({ ...token, reasoning: false }));
}

/** Without an end tag the parser takes all of the text for reasoning, and the engine counts it as such. */
function loseEndTag(plan: ChoicePlan): void {
  plan.tokens = plan.tokens.map((token) => ({
    ...token,
    text: token.text === THINK_END ? '' : token.text,
    reasoning: true,
  }));
}
