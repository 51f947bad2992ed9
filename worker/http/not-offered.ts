/**
 * The parts of the copied APIs that are not offered, with what there is instead: a client that calls one is told so, in its
 * own envelope, rather than that the path is unknown. Loaded by the first such call.
 */
import type { ApiError } from './api-error.ts';

const GENERATE = 'POST /v1/chat/completions, /v1/responses or /v1/messages';
const HISTORY = 'Name the last response in `previous_response_id` of POST /v1/responses';

/** By path, behind /v1: the first that matches. */
const NOT_OFFERED: readonly (readonly [path: RegExp, what: string, instead: string])[] = [
  [/^messages\/batches/, 'Anthropic’s message batches', 'OpenAI’s batches are: POST /v1/batches'],
  [/^chat\/completions\/./, 'Stored chat completions', `Stored responses are: GET /v1/responses/{id}`],
  [
    /^responses\/compact$/,
    'Compaction',
    'Have the model summarize the conversation, and begin a new one with the summary',
  ],
  [/^conversations/, 'Conversations', HISTORY],
  [/^(assistants|threads)/, 'Assistants and threads', HISTORY],
  [
    /^complete$/,
    'Anthropic’s text completions',
    'Use POST /v1/messages, or POST /v1/completions for a bare text',
  ],
  [
    /^(skills|agents|sessions|environments)/,
    'Managed agents',
    'Run the agent yourself, with tools: POST /v1/messages',
  ],
  [/^embeddings/, 'Embeddings', `Only text is generated: ${GENERATE}`],
  [/^images/, 'Images', `Only text is generated: ${GENERATE}`],
  [/^videos/, 'Videos', `Only text is generated: ${GENERATE}`],
  [/^(audio|realtime)/, 'Audio and realtime sessions', `Only text is generated: ${GENERATE}`],
  [/^moderations/, 'Moderation', `Ask a model to judge the text: ${GENERATE}`],
  [
    /^(vector_stores|containers|chatkit)/,
    'Hosted tools and stores',
    `Run the tools yourself, as functions: ${GENERATE}`,
  ],
  [
    /^(fine_tuning|evals)/,
    'Fine-tuning and evaluations',
    'Models are served as their makers published them: GET /v1/models',
  ],
  [/^uploads/, 'Uploads in parts', 'Files of up to 100 MiB are taken whole: POST /v1/files'],
  [
    /^organizations?(\/|$)/,
    'The organization’s API',
    'GET /v1/usage, /v1/key and /v1/keys say what is used and by whom',
  ],
];
/** With Anthropic's clients; OpenAI's form of files is another. */
const FILES = ['Anthropic’s Files', 'Send documents as text in the message itself'] as const;

/** @returns the error of a path that a copied API has and this one does not; null: none has it */
export function notOffered(path: string, isAnthropic: boolean): ApiError | null {
  const name = path.replace(/^\/(anthropic\/|beta\/)?(v1\/)?/, '');
  if (isAnthropic && /^files(\/|$)/.test(name)) return toError(FILES);
  const found = NOT_OFFERED.find(([pattern]) => pattern.test(name));
  return found === undefined ? null : toError([found[1], found[2]]);
}

function toError([what, instead]: readonly [string, string]): ApiError {
  return { reason: 'not_offered', what, instead };
}
