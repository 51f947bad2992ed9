/** A chunk of SGLang's stream as its JSON says it. */
import * as z from 'zod';

const EngineChunk = z.object({
  /** The id under which the engine can abort the choice. */
  id: z.string().max(256).nullish().catch(null),
  choices: z
    .array(
      z.object({
        index: z.int().min(0),
        delta: z
          .object({
            content: z.string().nullish(),
            reasoning_content: z.string().nullish(),
            tool_calls: z
              .array(
                z.object({
                  index: z.int().min(0).nullish(),
                  id: z.string().nullish(),
                  function: z
                    .object({ name: z.string().nullish(), arguments: z.string().nullish() })
                    .nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
        /** The text of a text completion, in place of a delta. */
        text: z.string().nullish(),
        finish_reason: z.string().nullish(),
        /** The matching text of `stop`, or the id of the token that ends every answer. */
        matched_stop: z.union([z.string(), z.number()]).nullish(),
        logprobs: z.unknown().optional(),
      }),
    )
    .nullish(),
  usage: z.unknown().optional(),
  error: z.unknown().optional(),
});
export type EngineChunk = z.infer<typeof EngineChunk>;
export type EngineChoice = NonNullable<EngineChunk['choices']>[number];

/** @returns null where it is no chunk */
export function readEngineChunk(json: string): EngineChunk | null {
  return readTextChunk(json) ?? EngineChunk.safeParse(parseJson(json)).data ?? null;
}

/** A text in JSON, escapes included. */
const TEXT = /"([ !#-[\]-\uffff]*(?:\\.[ !#-[\]-\uffff]*)*)"/.source;
const COUNT = /(0|[1-9]\d{0,8})/.source;
const HEAD = /\{"id":"([ !#-[\]-\uffff]{0,256})","object":"[\w.]+","created":\d+,"model":"[ !#-[\]-\uffff]*"/
  .source;
/** By sse_utils.py, or by pydantic where a parser of tools is on, which writes out what is null. */
const DELTA = `\\{(?:"role":null,)?(?:"reasoning_content":null,)?"(reasoning_)?content":${TEXT}(?:,"reasoning_content":null)?(?:,"tool_calls":null)?\\}`;
const CHOICE = `\\{"index":(\\d),"delta":${DELTA},"logprobs":null,"finish_reason":null,"matched_stop":null\\}`;
const DETAILS = `"prompt_tokens_details":(?:null|\\{"cached_tokens":${COUNT}\\}),"reasoning_tokens":${COUNT}(?:,"completion_tokens_details":(?:null|\\{"reasoning_tokens":\\d+\\}))?`;
const USAGE = `\\{"prompt_tokens":${COUNT},"total_tokens":\\d+,"completion_tokens":${COUNT},${DETAILS}\\}`;
const TEXT_CHUNK = new RegExp(`^${HEAD},"choices":\\[${CHOICE}\\],"usage":${USAGE}\\}$`);

/**
 * Reads a chunk of nothing but text and its usage from its JSON without JSON.parse, since every token of every answer is
 * one (0.5.20 to 0.5.23).
 * @returns null when the chunk has another form; then JSON.parse and the schema must read it
 */
function readTextChunk(json: string): EngineChunk | null {
  const match = TEXT_CHUNK.exec(json);
  if (match === null) return null;
  const [, id, index, reasoning, written, prompt, completion, cached, reasoned] = match;
  const text = written!.includes('\\') ? parseJson(`"${written}"`) : written;
  if (typeof text !== 'string') return null;
  const delta = reasoning === undefined ? { content: text } : { reasoning_content: text };
  return {
    id: id!,
    choices: [{ index: Number(index), delta, finish_reason: null, matched_stop: null, logprobs: null }],
    usage: {
      prompt_tokens: Number(prompt),
      completion_tokens: Number(completion),
      prompt_tokens_details: cached === undefined ? null : { cached_tokens: Number(cached) },
      reasoning_tokens: Number(reasoned),
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
