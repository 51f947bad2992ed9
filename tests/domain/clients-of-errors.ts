/**
 * Clients with the words and codes by which they decide what to do about an API error. Each was read in the released package named beside
 * it, on 30 November 2026, and where a command line was at hand, seen by letting it meet the error. Renew a row by
 * reading the same place again; of long lists of words, those are given that our errors meet or must not meet.
 */

/** An error as a client receives it. */
export interface ReceivedError {
  readonly status: number;
  /** `false`: the server says that a retry is of no use; null: it says nothing */
  readonly shouldRetry: string | null;
  /** the whole body */
  readonly text: string;
  readonly code: string | undefined;
  readonly type: string | undefined;
  readonly message: string;
}

/** The API whose words a client was written for. */
export type Spoken = 'chat' | 'completions' | 'responses' | 'messages';

/** A client's reaction: it shortens the conversation, tries again, asks for another model, key or money, or gives up. */
export type Action = 'shorten' | 'retry' | 'model' | 'key' | 'money' | 'give up';

export interface Client {
  readonly name: string;
  /** package, version, and where in it */
  readonly source: string;
  readonly speaks: readonly Spoken[];
  act(error: ReceivedError): Action;
}

const has = (text: string, ...words: readonly RegExp[]) => words.some((word) => word.test(text));
const retriedByOpenAiSdks = ({ status, shouldRetry }: ReceivedError): boolean =>
  shouldRetry !== 'false' && (status === 408 || status === 409 || status === 429 || status >= 500);

/** In `error.message` of both SDKs stands the status and then the whole body. */
const claudeCode: Client = {
  name: 'Claude Code',
  source: '@anthropic-ai/claude-code-linux-x64 2.1.332, claude (functions nyo, aPe, the, ozn, Ugt, Xqn, ZIs)',
  speaks: ['messages'],
  act(error) {
    const { status, text, message } = error;
    const numbers = message.match(/prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)/i);
    if (numbers) return Number(numbers[1]) > Number(numbers[2]) ? 'shorten' : 'give up';
    if (status === 413) return 'shorten';
    if (has(text, /credit balance is too low/i)) return 'money';
    if (has(text, /x-api-key/i)) return 'key';
    if (status === 404 && has(text, /"type":"not_found_error"/) && text.includes('"model: ')) return 'model';
    if (error.shouldRetry === 'false') return 'give up';
    if (has(text, /"type":"(overloaded_error|rate_limit_error)"/)) return 'retry';
    return status >= 500 || status === 408 || status === 409 || status === 429 ? 'retry' : 'give up';
  },
};

const codex: Client = {
  name: 'Codex',
  source:
    '@openai/codex 0.171.0, codex exec against a server of fixed answers; codex-rs/codex-api/src/api_bridge.rs',
  speaks: ['responses'],
  act({ status, code }) {
    if (status === 400) return code === 'context_length_exceeded' ? 'shorten' : 'give up';
    // It tries every other status five more times, and a 5xx five times within each.
    if (status === 503) return code === 'server_is_overloaded' ? 'retry' : 'give up';
    return status >= 500 || status === 429 ? 'retry' : 'give up';
  },
};

/** Words at which opencode takes an error for one that passes, whatever its status. */
const OPENCODE_PASSING = [
  /rate limit|too many requests/i,
  /overloaded|service[ _-]unavailable|internal[ _-](server )?error|server[ _-]error/i,
  /^timeout$|\b(?:request|response|connection|network|stream|read) (?:timeout|timed out|time out)\b/i,
  /try your request again|retry your request|resource[ _]exhausted/i,
  /\btry again (?:later|in\b)|\b(?:currently|temporarily) at capacity\b/i,
];
const OPENCODE_TOO_LONG = [
  /prompt is too long/i,
  /request_too_large/i,
  /exceeds the context window/i,
  /maximum context length is \d+ tokens/i,
  /reduce the length of the messages/i,
  /exceeds the limit of \d+/i,
  /greater than the context length/i,
  /context window exceeds limit/i,
  /context[_ ]length[_ ]exceeded/i,
  /request entity too large/i,
  /too many tokens/i,
  /token limit exceeded/i,
];
const opencode: Client = {
  name: 'opencode',
  source: 'opencode-linux-x64 1.18.33, bin/opencode (functions Vk, a9 and ga)',
  speaks: ['chat', 'responses', 'messages'],
  act(error) {
    const { status, message, text, code } = error;
    const limited = has(
      message,
      /^(throttling error|service unavailable):/i,
      /rate limit/i,
      /too many requests/i,
    );
    if (status === 413 || code === 'context_length_exceeded') return 'shorten';
    if (!limited && has(message, ...OPENCODE_TOO_LONG)) return 'shorten';
    const passes = status === 408 || status === 409 || status === 429 || status >= 500;
    return passes || has(message, ...OPENCODE_PASSING) || has(text, ...OPENCODE_PASSING)
      ? 'retry'
      : 'give up';
  },
};

const cline: Client = {
  name: 'Cline',
  source: 'cline/cline of 22 August 2026, sdk/packages/llms/src/providers/error-classification.ts',
  speaks: ['chat', 'responses', 'messages'],
  act(error) {
    const { status, message, text, code } = error;
    const passes = status === 429 || has(text, /rate[\s_-]?limit/i, /per[\s_-]?minute\b/i);
    const words = [
      /\bcontext\s*(?:length|window|limit)\b/i,
      /\bmaximum\s*context\b/i,
      /\b(?:input\s*)?tokens?\s+exceeds?\b/i,
      /\btoo\s*many\s*tokens?\b/i,
      /\b(?:input|prompt)\s+is\s+too\s+long\b/i,
    ];
    const isOfSize = status === 400 || status === 413 || status === 422;
    if (isOfSize && (code === 'context_length_exceeded' || (!passes && has(message, ...words))))
      return 'shorten';
    return retriedByOpenAiSdks({ ...error, shouldRetry: null }) ? 'retry' : 'give up';
  },
};

const rooCode: Client = {
  name: 'Roo Code',
  source: 'RooCodeInc/Roo-Code, src/core/context/context-management/context-error-handling.ts',
  speaks: ['chat', 'messages'],
  act(error) {
    const { status, message, type } = error;
    const openAi = has(message, /\bcontext\s*(?:length|window)\b/i, /\bmaximum\s*context\b/i);
    const anthropic =
      type === 'invalid_request_error' && has(message, /prompt is too long/i, /maximum.*tokens/i);
    if (status === 400 && (openAi || anthropic)) return 'shorten';
    return retriedByOpenAiSdks(error) ? 'retry' : 'give up';
  },
};

/** Aider, OpenHands and others go by litellm's classes of errors. */
const litellm: Client = {
  name: 'litellm',
  source: 'litellm 1.110.2, litellm_core_utils/exception_mapping_utils.py (ExceptionCheckers)',
  speaks: ['chat', 'completions', 'messages'],
  act({ status, text }) {
    if (status === 429) return 'retry';
    const words = [/this model's maximum context length is/i, /prompt is too long/i, /exceed context limit/i];
    if (status === 400 && has(text, ...words)) return 'shorten';
    if (status === 401) return 'key';
    if (status === 404) return 'model';
    return status >= 500 || status === 408 ? 'retry' : 'give up';
  },
};

const langchain: Client = {
  name: 'LangChain',
  source: 'langchain-openai 1.7.4, chat_models/base.py (_handle_openai_bad_request)',
  speaks: ['chat', 'completions', 'responses'],
  act(error) {
    const tooLong = [/context_length_exceeded/, /prompt is too long/, /exceeds the context window/];
    if (error.status === 400 && has(error.text, ...tooLong)) return 'shorten';
    return retriedByOpenAiSdks(error) ? 'retry' : 'give up';
  },
};

const sdks: Client = {
  name: 'SDKs of OpenAI and Anthropic, and the AI SDK',
  source:
    'openai 7.59.0 and @anthropic-ai/sdk 1.14.0, client (shouldRetry); ai 7.0.173 (isRetryable by status)',
  speaks: ['chat', 'completions', 'responses', 'messages'],
  act: (error) => (retriedByOpenAiSdks(error) ? 'retry' : 'give up'),
};

export const CLIENTS: readonly Client[] = [
  claudeCode,
  codex,
  opencode,
  cline,
  rooCode,
  litellm,
  langchain,
  sdks,
];
